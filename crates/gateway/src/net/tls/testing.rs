//! Certificates for tests, made on the spot.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate in PEM.
    pub(crate) pem: String,
}

/// A certificate with its key, in PEM.
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("has no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("ring has randomness");
        let pem = params.self_signed(&key).expect("is sound").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `127.0.0.1` and `localhost` with this common name.
    pub(crate) fn issue(&self, name: &str) -> Pem {
        self.issue_until(name, &["127.0.0.1", "localhost"], (4096, 1, 1))
    }

    pub(crate) fn issue_until(&self, name: &str, hosts: &[&str], not_after: (i32, u8, u8)) -> Pem {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("are names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = KeyPair::generate().expect("ring has randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("is sound");
        Pem { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A certificate that is its own authority, as `openssl req -x509` makes it.
pub(crate) fn self_signed() -> Pem {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("is a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("ring has randomness");
    Pem { certificate: params.self_signed(&key).expect("is sound").pem(), key: key.serialize_pem() }
}

/// A folder with files.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("the system has room"))
    }

    /// Writes a file at once, as a secret's mount does.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path(name), self.path("new"));
        std::fs::write(&new, text).expect("the folder takes files");
        std::fs::rename(new, &path).expect("the folder takes files");
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(self.0.path()).join(name)
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn write_pair(&self, name: &str, pem: &Pem) {
        self.write(&format!("{name}.crt"), &pem.certificate);
        self.write(&format!("{name}.key"), &pem.key);
    }
}
