//! The URL of a database: what is taken, what is refused, and that its password is never shown.

use registry::limits::DATABASE_URL_BYTES_MAX;
use registry::{DatabaseUrl, ParseDatabaseUrlError};

fn refusal(text: &str) -> ParseDatabaseUrlError {
    text.parse::<DatabaseUrl>().unwrap_err()
}

#[test]
fn a_url_is_shown_without_its_password() {
    let url: DatabaseUrl =
        "postgresql://tide:s3cret%40%2F@db.example.test:5433/tidegate?sslmode=verify-full".parse().unwrap();
    assert_eq!(url.to_string(), "postgresql://tide@db.example.test:5433/tidegate");
    assert_eq!(format!("{url:?}"), url.to_string());
    assert!(url.has_password());
    let socket: DatabaseUrl = "postgres://tide@%2Frun%2Fpostgresql/tidegate".parse().unwrap();
    assert_eq!(socket.to_string(), "postgresql://tide@%2Frun%2Fpostgresql:5432/tidegate");
    assert!(!socket.has_password());
    let parameter: DatabaseUrl = "postgresql://h/d?user=u&password=s3cret".parse().unwrap();
    assert!(parameter.has_password() && !format!("{parameter} {parameter:?}").contains("s3cret"));
}

#[test]
fn what_could_show_a_password_is_refused_without_showing_it() {
    let cases = [
        ("mysql://u:s3cret@h/d", ParseDatabaseUrlError::Scheme),
        ("s3cret", ParseDatabaseUrlError::Scheme),
        ("postgresql://u:12#s3cret@h/d", ParseDatabaseUrlError::Unescaped),
        ("postgresql://u:12/s3cret@h/d", ParseDatabaseUrlError::Unescaped),
        ("postgresql://u:12?s3cret@h/d", ParseDatabaseUrlError::Unescaped),
        ("postgresql://u:12@s3cret@h/d", ParseDatabaseUrlError::Unescaped),
        ("postgresql://u@h/d?pasword=s3cret", ParseDatabaseUrlError::Parameter),
        ("postgresql://u@h/d?s3cret", ParseDatabaseUrlError::Parameter),
        ("postgresql://u:p@h:s3cret/d", ParseDatabaseUrlError::Form),
    ];
    for (text, expected) in cases {
        let refused = refusal(text);
        assert_eq!(refused, expected, "{text}");
        assert!(!refused.to_string().contains("s3cret"));
    }
}

#[test]
fn a_url_has_a_limit() {
    let longest = format!("{:0<DATABASE_URL_BYTES_MAX$}", "postgresql://u@h/d");
    assert!(longest.parse::<DatabaseUrl>().is_ok());
    assert_eq!(refusal(&format!("{longest}0")), ParseDatabaseUrlError::TooLong);
}
