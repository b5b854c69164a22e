use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What comes out when `text` comes in pieces of these lengths, over and over: the items (or how long one
/// is that is too long), the frame.
fn split(limit: usize, steps: &[usize], text: &[u8]) -> (Vec<Result<String, usize>>, String) {
    let mut splitter = Items::new(limit);
    let (mut items, mut rest) = (Vec::new(), text);
    for step in steps.iter().cycle() {
        let (piece, after) = rest.split_at((*step).min(rest.len()));
        let _ = splitter.push(piece, |item| {
            items.push(match item {
                Piece::Text(item) => Ok(String::from_utf8(item.to_vec()).unwrap()),
                Piece::TooLong { length, .. } => Err(length),
            });
            ControlFlow::Continue(())
        });
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (items, String::from_utf8(splitter.frame).unwrap())
}

fn whole(text: &str) -> (Vec<String>, String) {
    let (items, frame) = split(1000, &[1], text.as_bytes());
    (items.into_iter().map(Result::unwrap).collect(), frame)
}

#[test]
fn items_are_told_from_what_stands_around_them() {
    for (text, items, frame) in [
        (r#"{"items":[]}"#, vec![], r#"{"items":[]}"#),
        (r#"{"items":null}"#, vec![], r#"{"items":null}"#),
        (
            r#"{"kind":"PodList","items":[{"a":[1]},{"b":"]}\""}],"metadata":{"x":["items",[]]}}"#,
            vec![r#"{"a":[1]}"#, r#"{"b":"]}\""}"#],
            r#"{"kind":"PodList","items":[0,0],"metadata":{"x":["items",[]]}}"#,
        ),
        ("{ \"items\" :\n[ 1 , \"a,b\" ] }", vec!["1 ", "\"a,b\" "], "{ \"items\" :\n[ 0, 0] }"),
        // Not the field of the list itself.
        (r#"{"a":{"items":[1]}}"#, vec![], r#"{"a":{"items":[1]}}"#),
        (r#"{"a\"items":[1]}"#, vec![], r#"{"a\"items":[1]}"#),
        (r#"{"a":"items","b":[1]}"#, vec![], r#"{"a":"items","b":[1]}"#),
        (r#"["items",[1]]"#, vec![], r#"["items",[1]]"#),
        // What is no JSON stays so.
        (r#"{"items":[1,,2]}}"#, vec!["1", "2"], r#"{"items":[0,,0]}}"#),
        (r#"{"items":[1"#, vec![], r#"{"items":["#),
        ("<html>", vec![], "<html>"),
    ] {
        let items: Vec<String> = items.into_iter().map(str::to_owned).collect();
        assert_eq!(whole(text), (items, frame.to_owned()), "{text}");
    }
}

#[test]
fn an_item_that_is_too_long_is_skipped_and_says_how_it_began() {
    let text = br#"{"items":["0123","01234567","x"]}"#;
    let frame = r#"{"items":[0,0,0]}"#.to_owned();
    for step in 1..=text.len() {
        let items = vec![Ok("\"0123\"".to_owned()), Err(10), Ok("\"x\"".to_owned())];
        assert_eq!(split(6, &[step], text), (items, frame.clone()), "{step} bytes at a time");
    }
    let mut splitter = Items::new(OBJECT_LIMIT);
    let none = |_: Piece<'_>| panic!("no item yet");
    let _ = splitter.push(br#"{"items":["#, none);
    for _ in 0..100 {
        let _ = splitter.push(&vec![b'1'; 1 << 20], none);
        assert!(
            splitter.item.kept.capacity() <= OBJECT_LIMIT * 2,
            "{}",
            splitter.item.kept.capacity()
        );
    }
    let mut told = 0;
    let _ = splitter.push(b"]}", |item| {
        told += 1;
        let beginning = [b'1'; BEGINNING];
        assert_eq!(item, Piece::TooLong { length: 100 << 20, beginning: &beginning });
        ControlFlow::Continue(())
    });
    assert_eq!(told, 1);
    assert!(splitter.item.kept.capacity() <= KEPT);
}

#[test]
fn a_frame_without_end_takes_no_memory() {
    let mut splitter = Items::new(OBJECT_LIMIT);
    let mut told = 0;
    let mut push = |bytes: &[u8]| {
        let _ = splitter.push(bytes, |_| {
            told += 1;
            ControlFlow::Continue(())
        });
    };
    push(br#"{"items":["#);
    (0..100_000).for_each(|_| push(b"1,"));
    assert_eq!(told, 100_000);
    assert_eq!(splitter.frame.len(), FRAME_LIMIT);
}

fn values() -> impl Strategy<Value = Value> {
    let texts = prop_oneof![Just("items".to_owned()), "[\\[\\]{}:,\"\\\\a-c \n]{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        texts.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(texts.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn however_it_comes(
        items in prop::collection::vec(values(), 0..5),
        before in prop::collection::btree_map("[a-h]{1,3}", values(), 0..3),
        after in prop::collection::btree_map("[j-z]{1,3}", values(), 0..3),
        pretty: bool,
        steps in prop::collection::vec(1..40_usize, 1..5),
    ) {
        // A map of serde_json is in the order of its keys.
        let object = |items: Value| {
            let mut object = serde_json::Map::new();
            object.extend(before.clone());
            object.insert("items".to_owned(), items);
            object.extend(after.clone());
            Value::Object(object)
        };
        let list = object(json!(items));
        let text = if pretty { format!("{list:#}") } else { list.to_string() };
        let (found, frame) = split(100_000, &steps, text.as_bytes());
        let found: Vec<Value> =
            found.into_iter().map(|item| serde_json::from_str(&item.unwrap()).unwrap()).collect();
        prop_assert_eq!(&found, &items);
        let frame: Value = serde_json::from_str(&frame).unwrap();
        prop_assert_eq!(frame, object(items.iter().map(|_| json!(0)).collect()));
        // No beginning of it is a whole list.
        for end in 0..text.trim_ascii_end().len() {
            let (_, frame) = split(100_000, &steps, &text.as_bytes()[..end]);
            prop_assert!(serde_json::from_str::<Value>(&frame).is_err());
        }
    }
}
