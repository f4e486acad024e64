//! Errors as [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) `application/problem+json`, read leniently: whatever
//! the body is, there is a [`Problem`] to show.

use griot_protocol::api::Problem;
use hyper::StatusCode;

/// Characters of a problem's text that are kept: a screen line or three. The rest would be a node talking to the
/// terminal at length.
const TEXT_CHARS_MAX: usize = 400;

/// Reads an error's body. The status is HTTP's own, whatever the body claims.
#[must_use]
pub fn read(status: StatusCode, content_type: Option<&str>, body: &[u8]) -> Problem {
    let is_problem = content_type.is_some_and(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/problem+json")
    });
    let fields = if is_problem { serde_json::from_slice::<serde_json::Value>(body).ok() } else { None };
    let text = |name: &str| fields.as_ref().and_then(|f| f.get(name)).and_then(|v| v.as_str()).map(bounded);
    Problem {
        kind: text("type").unwrap_or_else(|| "about:blank".to_owned()),
        title: text("title").unwrap_or_else(|| default_title(status)),
        status: status.as_u16(),
        detail: text("detail").unwrap_or_default(),
    }
}

fn default_title(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("the home answered {} {reason}", status.as_u16()),
        None => format!("the home answered {}", status.as_u16()),
    }
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Option<&str> = Some("application/problem+json");

    #[test]
    fn reads_a_full_problem() {
        let body = br#"{"type":"urn:griot:problem:postage","title":"Refused","status":200,"detail":"too low","x":1}"#;
        let problem = read(StatusCode::UNPROCESSABLE_ENTITY, KIND, body);
        assert_eq!(problem.reason(), Some("postage"));
        assert_eq!((problem.status, problem.detail.as_str()), (422, "too low"));
    }

    #[test]
    fn anything_else_becomes_a_problem_too() {
        for (kind, body) in [
            (KIND, &b"{"[..]),
            (KIND, b"[]"),
            (KIND, b"{\"type\":7}"),
            (Some("text/html"), b"<h1>no</h1>"),
            (None, b"\xff\xfe"),
        ] {
            let problem = read(StatusCode::BAD_GATEWAY, kind, body);
            assert_eq!(problem.kind, "about:blank");
            assert_eq!(problem.title, "the home answered 502 Bad Gateway");
            assert_eq!(problem.reason(), None);
        }
    }

    #[test]
    fn a_node_cannot_talk_to_the_terminal() {
        let body = format!(r#"{{"detail":"\u001b[2J{}"}}"#, "x".repeat(5000));
        let problem = read(StatusCode::BAD_REQUEST, Some("application/problem+json; charset=utf-8"), body.as_bytes());
        assert!(!problem.detail.contains('\u{1b}'));
        assert_eq!(problem.detail.chars().count(), TEXT_CHARS_MAX);
    }
}
