use super::*;

/// The same password in every form, as `openssl passwd`, `htpasswd` and the system's `crypt` hash it.
const FORMS: [(&str, &str); 9] = [
    ("bcrypt", "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"),
    ("bcrypt of htpasswd", "$2y$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"),
    ("apr1", "$apr1$deadbeef$Fj5jXEoS1fjSNU9LQAIbs/"),
    ("md5", "$1$abcdefgh$9qMkHazuSy1Q8myEum7yb/"),
    ("sha", "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac="),
    ("ssha", "{SSHA}VHqQZNk1JlEyaVGSBcR8TQQL8qxOYUNs"),
    ("sha256-crypt", "$5$saltsalt$yrhPKxCqiWcCE9h0g86j6Ugz7SDFdFm.BjU.d8RaQnC"),
    (
        "sha512-crypt",
        "$6$saltsalt$e/5XKibXPLqVcfjpD.ouauaJrAOL5V0uo80Lt7n7EbRdRiCx3HbQ90yjOHr.G0T.mx79PEMRy8nmtr0qSYhQp1",
    ),
    ("plain", "open sesame"),
];

fn users(text: &str) -> Result<Users, String> {
    Users::read(&["htpasswd.inline".to_owned()], &[text.as_bytes().to_vec()])
}

#[test]
fn every_form_that_the_collector_takes_is_verified() {
    for (form, hash) in FORMS {
        let users = users(&format!("# people\n\nali:{hash}\n")).unwrap_or_else(|reason| panic!("{form}: {reason}"));
        assert!(users.is_right("ali", "open sesame"), "{form}");
        for wrong in ["open sesam", "open sesame ", "", hash] {
            assert_eq!(users.is_right("ali", wrong), form == "plain" && wrong == hash, "{form}: {wrong:?}");
        }
        assert!(!users.is_right("baba", "open sesame"), "{form}: nobody of that name");
    }
}

#[test]
fn md5_crypt_of_short_and_long_passwords() {
    for (password, hash) in [
        ("", "$apr1$xx$aGHxR9NsG1buO7l/rFJjm1"),
        ("a long password that is longer than sixteen bytes", "$apr1$abc$8Nd8TC9G.znL3JJjiaKyP0"),
    ] {
        assert!(md5_crypt::verify(password.as_bytes(), hash), "{password:?}");
    }
}

#[test]
fn what_lets_nobody_in_or_everybody_is_an_error() {
    for (text, reason) in [
        ("", "htpasswd.inline: there is no user"),
        ("# nobody\n", "htpasswd.inline: there is no user"),
        ("ali:", "htpasswd.inline: line 1: the password is empty"),
        ("ali", "htpasswd.inline: line 1: it is not name:hash"),
        ("\n:secret", "htpasswd.inline: line 2: the name is empty"),
        ("ali:$2y$04$cut", "htpasswd.inline: line 1: the bcrypt hash cannot be read"),
        ("ali:$apr1$cut", "htpasswd.inline: line 1: the MD5 hash cannot be read"),
        ("ali:{SHA}cut", "htpasswd.inline: line 1: the SHA-1 hash cannot be read"),
        ("ali:$7$new", "htpasswd.inline: line 1: the kind of hash is not known; htpasswd -B writes one that is"),
    ] {
        assert_eq!(users(text).err().as_deref(), Some(reason), "{text:?}");
    }
}

#[test]
fn later_lines_go_before_earlier_ones() {
    let users = Users::read(&["a".into(), "b".into()], &[b"ali:old\nbob:b".to_vec(), b"ali:new".to_vec()]);
    let users = users.expect("is sound");
    assert!(users.is_right("ali", "new") && !users.is_right("ali", "old") && users.is_right("bob", "b"));
}

#[test]
fn what_was_right_is_known_for_that_name_alone_and_not_shown() {
    let users = users("ali:open sesame\nbob:secret").expect("is sound");
    let digest = users.digest("ali", "open sesame");
    assert!(!users.is_known("ali", &digest));
    users.remember("ali", digest);
    assert!(users.is_known("ali", &digest));
    assert!(!users.is_known("bob", &digest) && !users.is_known("ali", &users.digest("ali", "secret")));
    assert!(!format!("{users:?}").contains("sesame"));
}
