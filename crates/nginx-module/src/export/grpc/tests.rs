use http::HeaderValue;

use super::*;

#[test]
fn codes_of_the_specification() {
    let answer = |code: &'static str, has_details: bool| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        if has_details {
            trailers.insert("grpc-status-details-bin", HeaderValue::from_static("CAgSAA"));
        }
        of_code(&trailers, 2)
    };
    assert_eq!(answer("0", false), Answer::Accepted { rejected: 2 });
    for code in ["1", "4", "10", "11", "14", "15"] {
        assert_eq!(answer(code, false), Answer::Later { after: None }, "{code}");
    }
    for code in ["2", "3", "5", "7", "8", "12", "13", "16", "x", ""] {
        assert_eq!(answer(code, false), Answer::Refused, "{code}");
    }
    assert_eq!(answer("8", true), Answer::Later { after: None });
    assert_eq!(of_code(&HeaderMap::new(), 0), Answer::Refused);
}

#[test]
fn a_frame_has_its_length() {
    assert_eq!(framed([b"a", b"bc"]), [0, 0, 0, 0, 3, b'a', b'b', b'c'].as_slice());
}
