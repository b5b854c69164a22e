//! A refusal in the API server's words: a `Status` object.

use serde_json::{Value, json};

use crate::http::Response;

/// Why a request is not carried out.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    retry_after: Option<u32>,
}

impl Refusal {
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            408 | 504 => "Timeout",
            _ => "InternalError",
        };
        Self { code, reason, message: message.into(), details: Value::Null, retry_after: None }
    }

    pub(super) fn not_found(kind: &str, name: &str) -> Self {
        Self::new(404, format!("{kind} \"{name}\" not found")).about(kind, name)
    }

    /// About this object.
    pub(super) fn about(mut self, kind: &str, name: &str) -> Self {
        self.details["name"] = json!(name);
        self.details["kind"] = json!(kind);
        self
    }

    /// With a cause, for programs to read.
    pub(super) fn because(mut self, reason: &str, message: &str) -> Self {
        self.details["causes"] = json!([{ "reason": reason, "message": message }]);
        self
    }

    /// To be tried again after so many seconds.
    pub(super) fn retry_after(mut self, seconds: u32) -> Self {
        self.details["retryAfterSeconds"] = json!(seconds);
        self.retry_after = Some(seconds);
        self
    }

    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    pub(super) fn response(&self) -> Response {
        let response = Response::json(self.code, &self.status());
        match self.retry_after {
            Some(seconds) => response.with_header("Retry-After", seconds.to_string()),
            None => response,
        }
    }
}
