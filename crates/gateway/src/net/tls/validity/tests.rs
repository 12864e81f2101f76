use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::super::testing::Authority;
use super::Validity;

fn validity(not_after: (i32, u8, u8)) -> Validity {
    let pem = Authority::new("ca").issue_until("x", &["localhost"], not_after);
    let certificate = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).expect("is PEM");
    Validity::of(&certificate).expect("is a certificate")
}

#[test]
fn both_forms_of_time_are_read() {
    // Until 2049 years have two digits in a certificate, then four.
    for (day, seconds) in
        [((2001, 2, 3), 981_158_400), ((2049, 12, 31), 2_524_521_600), ((2400, 2, 29), 13_574_563_200)]
    {
        assert_eq!(validity(day).not_after, seconds, "{day:?}");
    }
}

#[test]
fn the_objection_names_the_day() {
    let validity = validity((2024, 2, 29));
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    assert_eq!(validity.objection(at(1_709_164_800)), None);
    assert_eq!(validity.objection(at(1_709_164_801)), Some("expired on 2024-02-29".to_owned()));
    assert_eq!(validity.objection(at(0)), Some("is not valid before 1975-01-01".to_owned()));
}

#[test]
fn damaged_certificates_have_no_validity() {
    let pem = Authority::new("ca").issue("x");
    let certificate = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).expect("is PEM");
    for length in 0..certificate.len() {
        // No panic; a cut one has no complete outer sequence.
        assert_eq!(Validity::of(&certificate[..length]), None);
    }
    for index in 0..certificate.len() {
        let mut damaged = certificate.to_vec();
        damaged[index] ^= 0xff;
        let _any_answer_will_do = Validity::of(&damaged);
    }
}
