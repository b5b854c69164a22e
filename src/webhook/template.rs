//! The operator's template. Of Go's `text/template`, which aws-node-termination-handler has, it knows the one
//! thing that almost every template uses: `{{ .Field }}`. Anything else is refused at start, with what to
//! write instead: otherwise it would be noticed when the message is needed.
//!
//! In a template for JSON, fields are inside quotation marks and are escaped for that, so no value can break
//! the JSON.

use std::borrow::Cow;
use std::fmt::{self, Write};

use miniserde::json::{self, Value};

use crate::excerpt::excerpt;
use crate::json::escaped;
use crate::webhook::field::Field;

/// The default; Slack, and services that take the same, show `text`.
pub const DEFAULT_TEMPLATE: &str = r#"{"text":"[{{ .Kind }}] {{ .Summary }} Node: {{ .NodeName }}, instance: {{ .InstanceID }}, event: {{ .EventID }}, start: {{ .StartTime }}. {{ .Description }}"}"#;

/// A valid template.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    language: Language,
    pieces: Vec<TemplatePiece>,
}

/// The language of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// JSON, with fields in it.
    Json,
    /// The content of an HTML form (`application/x-www-form-urlencoded`). Values are percent-encoded.
    Form,
    /// Any text. Values are inserted as they are.
    Plain,
}

#[derive(Clone, PartialEq, Eq)]
enum TemplatePiece {
    Literal(String),
    Value(Field),
    /// Inside a form.
    Encoded(Field),
    /// Inside a JSON string.
    Escaped(Field),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Where it is not valid, what is there, and what to write instead, as the end of a sentence that has
    /// named the setting. It contains nothing of the text between the fields.
    pub fn parse(text: &str, language: Language) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut json = Json::Outside;
        let mut rest = text;
        let offset = |rest: &str| text.len() - rest.len();
        loop {
            let (literal, action) = match rest.split_once(OPEN) {
                Some((literal, action)) => (literal, Some(action)),
                None => (rest, None),
            };
            if language == Language::Json {
                json = json
                    .after(literal, offset(rest))
                    .map_err(|at| format!("{}: {LINE_BREAK}", place(text, at)))?;
            }
            pieces.push(TemplatePiece::Literal(literal.to_owned()));
            let Some(action) = action else { break };
            let at = place(text, offset(action) - OPEN.len());
            let (action, tail) =
                action.split_once(CLOSE).ok_or_else(|| format!("{at}: {UNCLOSED}"))?;
            let here = |why: String| format!("{at}: {} {why}", shown(action));
            let field = field(action).map_err(here)?;
            pieces.push(match language {
                Language::Form => TemplatePiece::Encoded(field),
                Language::Plain => TemplatePiece::Value(field),
                Language::Json => json.piece(field).map_err(here)?,
            });
            rest = tail;
        }
        if let Json::Inside { since } | Json::Escaping { since } = json {
            return Err(format!("{}: this quotation mark is never closed", place(text, since)));
        }
        let template = Self { language, pieces };
        template.check()?;
        Ok(template)
    }

    /// The [`DEFAULT_TEMPLATE`], if the operator's template cannot be used.
    pub fn usual(language: Language) -> Self {
        // A test holds that it is valid.
        let usual = Self::parse(DEFAULT_TEMPLATE, language);
        usual.unwrap_or(Self { language, pieces: Vec::new() })
    }

    /// The `Content-Type` of the result, unless the operator's headers have another.
    pub fn content_type(&self) -> &'static str {
        match self.language {
            Language::Json => JSON,
            Language::Form => FORM,
            Language::Plain => "text/plain; charset=utf-8",
        }
    }

    /// Whether it contains the Node's labels or provider id.
    pub fn tells_of_the_node(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            TemplatePiece::Literal(_) => false,
            TemplatePiece::Value(field)
            | TemplatePiece::Encoded(field)
            | TemplatePiece::Escaped(field) => field.is_of_the_node(),
        })
    }

    /// The text with these values in it.
    pub(crate) fn fill_with<'a>(&self, value: &dyn Fn(Field) -> Cow<'a, str>) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                TemplatePiece::Literal(literal) => text.push_str(literal),
                TemplatePiece::Value(field) => text.push_str(&value(*field)),
                TemplatePiece::Encoded(field) => text.push_str(&encoded(&value(*field))),
                TemplatePiece::Escaped(field) => text.push_str(&escaped(&value(*field))),
            }
        }
        text
    }

    /// Checks that it is JSON with values that contain characters special to JSON. Then it is with any value:
    /// values differ only in how they are escaped.
    fn check(&self) -> Result<(), String> {
        let sample = |field| match field {
            Field::Text(_) => Cow::Borrowed("\"\\\n"),
            Field::Json(_) => Cow::Borrowed("[\"\"]"),
        };
        let is_good = self.language != Language::Json
            || json::from_str::<Value>(&self.fill_with(&sample)).is_ok();
        if is_good { Ok(()) } else { Err(NO_JSON.to_owned()) }
    }
}

impl fmt::Debug for Template {
    /// Nothing of it: an operator's text may contain a key of a service.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?}, …)", self.language)
    }
}

/// A value of an HTML form: all but letters, digits, `-`, `.`, `_` and `~` percent-encoded.
fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => {
                // Writing to a String does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
        text
    })
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
const OPEN: &str = "{{";
const CLOSE: &str = "}}";
/// White space of Go's templates.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

const LINE_BREAK: &str =
    "a line break or another control character stands in a JSON string; write \\n for a line break";
const UNCLOSED: &str = "{{ is not followed by }}; a field is written {{ .NodeName }}";
const NO_JSON: &str = "with values in it, it is not JSON, which the header Content-Type says it is: \
    look for a comma too many or too few, a bracket that is not closed, a value without quotation \
    marks";

/// The position in a JSON document.
#[derive(Clone, Copy)]
enum Json {
    Outside,
    /// In a string; where its quotation mark is.
    Inside {
        since: usize,
    },
    /// The same, after a backslash.
    Escaping {
        since: usize,
    },
}

impl Json {
    /// The position after `literal`, which is at `offset`. The error is the offset of a control character in a
    /// string.
    fn after(mut self, literal: &str, offset: usize) -> Result<Self, usize> {
        for (index, c) in literal.char_indices() {
            self = match (self, c) {
                (Self::Outside, '"') => Self::Inside { since: offset + index },
                (Self::Inside { .. } | Self::Escaping { .. }, '\0'..='\x1f') => {
                    return Err(offset + index);
                }
                (Self::Outside, _) | (Self::Inside { .. }, '"') => Self::Outside,
                (Self::Inside { since }, '\\') => Self::Escaping { since },
                (Self::Inside { since } | Self::Escaping { since }, _) => Self::Inside { since },
            };
        }
        Ok(self)
    }

    /// A field at this position.
    fn piece(self, field: Field) -> Result<TemplatePiece, String> {
        match (self, field) {
            (Self::Inside { .. }, field) => Ok(TemplatePiece::Escaped(field)),
            (Self::Outside, Field::Json(_)) => Ok(TemplatePiece::Value(field)),
            (Self::Outside, Field::Text(part)) => {
                let list = Field::Json(part);
                Err(if part.is_many() {
                    format!(
                        "stands outside of quotation marks: write \"{{{{ .{field} }}}}\", or \
                         {{{{ .{list} }}}} for JSON"
                    )
                } else {
                    format!("stands outside of quotation marks: write \"{{{{ .{field} }}}}\"")
                })
            }
            (Self::Escaping { .. }, _) => {
                Err("stands behind a backslash, which would change what it \
                 begins with: write two for one that is to be seen"
                    .to_owned())
            }
        }
    }
}

/// The field between the braces.
fn field(action: &str) -> Result<Field, String> {
    let inner = action.trim_matches(SPACE);
    match inner.strip_prefix('.') {
        Some(name) if is_name(name) => Field::named(name).ok_or_else(|| unknown(name)),
        _ => Err(refusal(inner)),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii())
}

fn unknown(name: &str) -> String {
    if let Some(field) = Field::nearest(name) {
        return format!("is no field; did you mean {{{{ .{field} }}}}?");
    }
    let all: Vec<String> = Field::all().map(|field| format!(".{field}")).collect();
    format!("is no field; there are {}", all.join(" "))
}

/// Why an action that is no field is refused, and what to write instead.
fn refusal(inner: &str) -> String {
    let undashed = inner.trim_matches('-').trim_matches(SPACE);
    let word = undashed.split(SPACE).next().unwrap_or_default();
    let of_many = Field::all().find(|field| match field {
        Field::Json(_) => false,
        Field::Text(part) => part.is_many() && undashed.contains(&format!(".{field}")),
    });
    let why = match (word, of_many) {
        ("", _) => "names no field; a field is written {{ .NodeName }}",
        ("range", Some(list)) => {
            return format!(
                "is a loop of Go's, which is not understood here: write {{{{ .{list} }}}}, which \
                 joins everything with \", \", or {{{{ .{list}JSON }}}} for JSON"
            );
        }
        (
            "range" | "if" | "else" | "end" | "with" | "define" | "block" | "template" | "break"
            | "continue",
            _,
        ) => {
            "is of Go's templates and not understood here: leave it out; a field of which nothing is \
             known is empty"
        }
        _ if undashed.starts_with("/*") => "is a comment, which has no place here: leave it out",
        _ if undashed.contains('|') => {
            "sends a field through a function, which is not understood here: leave out everything \
             from the |; in JSON, values are escaped by themselves"
        }
        _ if undashed.starts_with('$') || undashed.contains(":=") => {
            "is a variable, which is not understood here; a field is written {{ .NodeName }}"
        }
        _ if undashed.starts_with(['"', '`', '\'']) => {
            "is text in braces, which is not understood here: write the text without them"
        }
        _ if undashed.starts_with('.') && undashed != inner => {
            "trims white space, which is not understood here: leave out the dash"
        }
        (".", _) => "is everything at once, which is not understood here: name a field",
        _ if undashed.starts_with('.') && word == undashed => {
            "asks for a part of a field, or calls it, which is not understood here: name the field \
             alone, as in {{ .StartTime }}"
        }
        _ if undashed.starts_with('.') => {
            "is more than one field: give each its own braces, as in {{ .NodeName }}"
        }
        _ if Field::named(undashed).is_some() => {
            return format!("lacks a dot: write {{{{ .{undashed} }}}}");
        }
        _ => {
            "is a function of Go's, which is not understood here; a field is written {{ .NodeName }}"
        }
    };
    why.to_owned()
}

/// An action as it may be printed, without text in quotation marks, which is the operator's.
fn shown(action: &str) -> String {
    if action.contains(['"', '`', '\'']) {
        return "{{ … }}".to_owned();
    }
    // After a brace it is no part of the action.
    let line = excerpt(action.split(['{', '}']).next().unwrap_or_default());
    let mut short: String = line.chars().take(LONGEST_SHOWN).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    format!("{{{{ {short} }}}}")
}

/// Enough to find an action, with its place.
const LONGEST_SHOWN: usize = 40;

/// `line 2, column 7`, both from 1.
fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests;
