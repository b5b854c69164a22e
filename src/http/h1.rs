//! HTTP/1.1 (RFC 9112), the client's side of one connection: one exchange after the other. `ureq-proto` frames what
//! is sent and what comes. Redirects are not followed.

use std::collections::VecDeque;

use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::{self, HeaderMap, HeaderValue, Uri, header};
use ureq_proto::{BodyMode, Error};

use crate::excerpt::excerpt;
use crate::http::protocol::{Head, Protocol, Request, StreamError, StreamEvent, StreamId};
use crate::moment::Moment;

/// Bytes that are read of a head, those of interim answers (1xx) included. An API server's are
/// below 1 kB.
pub const HEAD_LIMIT: usize = 16 * 1024;

/// Bytes of a body that are unpacked at a time.
const PIECE: usize = 4 * 1024;

/// Bytes between two pieces of a chunked body: a length, a trailer.
const FRAMING_LIMIT: usize = 8 * 1024;

/// One connection, from its first byte.
#[derive(Default)]
pub struct Http1 {
    /// What has come and was not read yet.
    input: Vec<u8>,
    output: Vec<u8>,
    expected: Expected,
    /// How many exchanges have begun.
    begun: StreamId,
    /// More came than was requested.
    excess: bool,
    events: VecDeque<(StreamId, StreamEvent)>,
}

/// What is to come of an answer.
#[derive(Default)]
enum Expected {
    /// None: the next exchange can begin.
    #[default]
    None,
    /// Its head; `interim`: how many bytes of interim answers came before.
    Head { call: Box<Call<RecvResponse>>, interim: usize },
    /// Its body.
    Body(Box<Call<RecvBody>>),
    /// No exchange can begin any more.
    Closed,
}

impl Http1 {
    fn emit(&mut self, event: StreamEvent) {
        self.events.push_back((self.begun, event));
    }

    /// Reads what can be read. Whether there may be more.
    fn read(&mut self) -> Result<bool, StreamError> {
        match std::mem::replace(&mut self.expected, Expected::Closed) {
            Expected::Head { call, interim } => self.read_head(call, interim),
            Expected::Body(call) => self.read_body(call),
            // Unsolicited: a proxy that ends an idle connection (408), or an answer that is longer than it
            // announced.
            Expected::None | Expected::Closed => {
                self.excess |= !self.input.is_empty();
                self.input = Vec::new();
                Ok(false)
            }
        }
    }

    fn read_head(
        &mut self,
        mut call: Box<Call<RecvResponse>>,
        mut interim: usize,
    ) -> Result<bool, StreamError> {
        let (used, response) = call
            .try_response(&self.input, false)
            .map_err(|e| StreamError::Malformed(excerpt(&e.to_string())))?;
        self.input.drain(..used);
        let Some(response) = response else {
            interim += used;
            if interim + self.input.len() > HEAD_LIMIT {
                return Err(StreamError::HeadTooLong(HEAD_LIMIT));
            }
            self.expected = Expected::Head { call, interim };
            return Ok(used > 0);
        };
        let (http::response::Parts { status, headers, .. }, ()) = response.into_parts();
        let next = call.proceed();
        let length = match &next {
            Some(RecvResponseResult::RecvBody(call)) => match call.body_mode() {
                BodyMode::LengthDelimited(length) => Some(length),
                _ => None,
            },
            _ => None,
        };
        self.emit(StreamEvent::Head(Head { status, headers, length }));
        match next {
            Some(RecvResponseResult::RecvBody(call)) => {
                self.expected = Expected::Body(Box::new(call));
            }
            Some(RecvResponseResult::Redirect(call)) => self.ended(call.must_close_connection()),
            Some(RecvResponseResult::Cleanup(call)) => self.ended(call.must_close_connection()),
            None => return Err(StreamError::Malformed("its head cannot be understood".to_owned())),
        }
        Ok(true)
    }

    fn read_body(&mut self, mut call: Box<Call<RecvBody>>) -> Result<bool, StreamError> {
        let mut piece = vec![0; PIECE.min(self.input.len())];
        let (used, made) = call
            .read(&self.input, &mut piece)
            .map_err(|e| StreamError::Malformed(excerpt(&e.to_string())))?;
        self.input.drain(..used);
        if made > 0 {
            piece.truncate(made);
            self.emit(StreamEvent::Data(piece));
        }
        if call.body_mode() != BodyMode::CloseDelimited && call.can_proceed() {
            self.body_ended(call);
            return Ok(false);
        }
        if used == 0 && self.input.len() > FRAMING_LIMIT {
            return Err(StreamError::Malformed("a chunk has no readable length".to_owned()));
        }
        self.expected = Expected::Body(call);
        Ok(used > 0)
    }

    fn body_ended(&mut self, call: Box<Call<RecvBody>>) {
        self.ended(match call.proceed() {
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            None => true,
        });
    }

    /// The answer is whole.
    fn ended(&mut self, must_close: bool) {
        // Further bytes would be taken for the next answer.
        self.excess |= !self.input.is_empty();
        self.expected = if must_close || self.excess { Expected::Closed } else { Expected::None };
        self.emit(StreamEvent::End);
    }
}

impl Protocol for Http1 {
    fn open(&mut self, request: &Request, _now: Moment) -> Result<StreamId, String> {
        let (bytes, call) = write(request)?;
        self.output.extend_from_slice(&bytes);
        self.expected = Expected::Head { call: Box::new(call), interim: 0 };
        self.begun += 1;
        Ok(self.begun)
    }

    fn slots(&self) -> Option<usize> {
        match self.expected {
            Expected::None => Some(1),
            Expected::Head { .. } | Expected::Body(_) => Some(0),
            Expected::Closed => None,
        }
    }

    fn capacity(&self) -> usize {
        1
    }

    fn reset(&mut self, stream: StreamId) {
        if stream == self.begun {
            // What is left of the answer would be taken for the next one.
            self.expected = Expected::Closed;
            self.events.clear();
        }
    }

    fn consume(&mut self, _stream: StreamId, _length: usize) {}

    fn receive(&mut self, bytes: &[u8], _now: Moment) -> Result<(), StreamError> {
        self.input.extend_from_slice(bytes);
        loop {
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(failure) => {
                    self.expected = Expected::Closed;
                    self.emit(StreamEvent::Failed(failure));
                    return Ok(());
                }
            }
        }
    }

    fn closed(&mut self, in_good_order: bool) {
        match std::mem::replace(&mut self.expected, Expected::Closed) {
            // With close_notify this body is not cut short. A plain connection has no such sign.
            Expected::Body(call)
                if call.body_mode() == BodyMode::CloseDelimited && in_good_order =>
            {
                self.emit(StreamEvent::End);
            }
            Expected::Body(_) => self.emit(StreamEvent::Failed(ended())),
            Expected::Head { interim, .. } => {
                let failure = match interim + self.input.len() {
                    0 => ended(),
                    length => StreamError::CutHead(length),
                };
                self.emit(StreamEvent::Failed(failure));
            }
            Expected::None | Expected::Closed => {}
        }
    }

    fn fail(&mut self, failure: &StreamError) {
        if self.slots() == Some(0) {
            self.emit(StreamEvent::Failed(failure.clone()));
        }
        self.expected = Expected::Closed;
    }

    fn has_excess(&self) -> bool {
        self.excess
    }

    fn next_event(&mut self) -> Option<(StreamId, StreamEvent)> {
        self.events.pop_front()
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    fn deadline(&self) -> Option<Moment> {
        None
    }

    fn on_time(&mut self, _now: Moment) -> Result<(), StreamError> {
        Ok(())
    }
}

fn ended() -> StreamError {
    StreamError::Ended("it closed the connection".to_owned())
}

/// The whole request in one piece, and what waits for its answer; else what is wrong with it.
fn write(request: &Request) -> Result<(Vec<u8>, Call<RecvResponse>), String> {
    let target = Uri::try_from(request.target.as_str()).map_err(|e| e.to_string())?;
    // ureq-proto writes the path alone, where the whole address may be asked for.
    let origin = match (target.scheme_str(), target.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    };
    let (head, call) =
        write_parts(head(request, target)?, request.body.as_deref()).map_err(|e| e.to_string())?;
    let target = head.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
    let (method, rest) = head.split_at_checked(target).unwrap_or((&head, &[]));
    let body = request.body.as_deref().unwrap_or_default();
    Ok(([method, origin.as_bytes(), rest, body.as_bytes()].concat(), call))
}

fn head(request: &Request, target: Uri) -> Result<http::Request<()>, String> {
    let mut headers = HeaderMap::new();
    let host = HeaderValue::try_from(&request.authority).map_err(|e| e.to_string())?;
    headers.append(header::HOST, host);
    for (name, value) in &request.headers {
        headers.append(name, value.clone());
    }
    if let Some(body) = &request.body {
        headers.append(header::CONTENT_LENGTH, body.len().into());
    }
    let mut head = http::Request::new(());
    *head.method_mut() = request.method.clone();
    *head.uri_mut() = target;
    *head.headers_mut() = headers;
    Ok(head)
}

/// The head of the request.
fn write_parts(
    request: http::Request<()>,
    body: Option<&str>,
) -> Result<(Vec<u8>, Call<RecvResponse>), Error> {
    let mut bytes = vec![0; room(&request)];
    let mut call = Call::new(request)?;
    if body.is_some() {
        // Not every method has one by itself: DELETE.
        call.force_send_body();
    }
    let mut call = call.proceed();
    let length = call.write(&mut bytes)?;
    bytes.truncate(length);
    let call = match call.proceed()? {
        Some(SendRequestResult::RecvResponse(call)) => Some(call),
        Some(SendRequestResult::SendBody(mut call)) => {
            call.consume_direct_write(body.map_or(0, str::len))?;
            call.proceed()
        }
        Some(SendRequestResult::Await100(_)) | None => None,
    };
    call.map(|call| (bytes, call)).ok_or(Error::OutputOverflow)
}

/// Enough bytes for the head.
fn room(request: &http::Request<()>) -> usize {
    let headers = request.headers().iter();
    let headers: usize =
        headers.map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS).sum();
    headers + request.uri().to_string().len() + FURTHER
}

/// Bytes that stand between a header's name and its value, and after it.
const SEPARATORS: usize = 4;

/// Bytes of a head that are neither target nor headers: method, version, the empty line.
const FURTHER: usize = 64;

#[cfg(test)]
mod tests;
