//! What an Auto Scaling group wants its instance to become.
//!
//! Source: Auto Scaling user guide, "Retrieve the target lifecycle state through instance
//! metadata".

use std::time::Duration;

use crate::excerpt::excerpt;
use crate::notice::{Action, Notice, NoticeId, When};
use crate::source::aws::{Unreadable, text};

/// Reads what stands at [`LIFECYCLE`](super::LIFECYCLE) when it answers 200: `None` if the instance
/// is to stay.
///
/// A state that is not documented is an error, not a notice: unlike the other paths this one is
/// there all the time, so its mere presence says nothing.
pub(in crate::source) fn lifecycle(
    body: &[u8],
    window: Duration,
) -> Result<Option<Notice>, Unreadable> {
    let text = text(body)?;
    let action = match text {
        // In service, and out of it because the operator took it out.
        "InService" | "Standby" | "Detached" | "Warmed:Running" => return Ok(None),
        "Terminated" | "Warmed:Terminated" => Action::Terminate,
        // It goes to a warm pool: whatever runs on it stops for an unknown time.
        "Warmed:Stopped" => Action::Stop,
        "Warmed:Hibernated" => Action::Hibernate,
        _ => return Err(Unreadable::NoLifecycleState(excerpt(text))),
    };
    let id = NoticeId::Lifecycle(action);
    let wording = text.to_owned();
    Ok(Some(Notice { id, when: When::Unstated, until: None, window, wording }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_hours(1);

    fn read(body: &str) -> Result<Option<Notice>, Unreadable> {
        lifecycle(body.as_bytes(), WINDOW)
    }

    #[test]
    fn an_instance_that_leaves_the_service_is_a_notice_without_a_time() {
        for (state, action) in [
            ("Terminated", Action::Terminate),
            ("Warmed:Terminated", Action::Terminate),
            ("Warmed:Stopped", Action::Stop),
            ("Warmed:Hibernated", Action::Hibernate),
        ] {
            let expected = Notice {
                id: NoticeId::Lifecycle(action),
                when: When::Unstated,
                until: None,
                window: WINDOW,
                wording: state.to_owned(),
            };
            assert_eq!(read(&format!("{state}\n")), Ok(Some(expected)));
            for end in 1..state.len() {
                assert!(read(&state[..end]).is_err(), "{}", &state[..end]);
            }
        }
    }

    #[test]
    fn an_instance_that_stays_is_none() {
        for state in ["InService", "Standby", "Detached", "Warmed:Running", " InService\r\n"] {
            assert_eq!(read(state), Ok(None), "{state}");
        }
    }

    #[test]
    fn anything_else_is_an_error_that_quotes_it() {
        for other in ["Terminating", "terminated", "Warmed:", "null", "\"Terminated\"", "{}"] {
            let why = read(other).unwrap_err().to_string();
            assert_eq!(why, format!("not a lifecycle state: {other}"));
        }
        let long = read(&"x\n".repeat(1000)).unwrap_err().to_string();
        assert!(long.ends_with("x x…") && long.len() < 300, "{long}");
        assert_eq!(read(""), Err(Unreadable::Empty));
        assert_eq!(read("<html>"), Err(Unreadable::Html));
        assert_eq!(lifecycle(b"\xff", WINDOW), Err(Unreadable::NotUtf8));
    }
}
