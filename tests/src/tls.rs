//! A certificate for `localhost` and 127.0.0.1, made anew for each test, signed by nobody but itself.

use std::path::PathBuf;

use tempfile::TempDir;

/// Certificate and key as files that live as long as this value.
pub struct Certificate {
    folder: TempDir,
    /// The certificate in DER form, for clients that check it.
    pub der: Vec<u8>,
}

impl Certificate {
    /// Makes one.
    pub fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).expect("it can be written");
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).expect("and its key");
        Self {
            folder,
            der: made.cert.der().to_vec(),
        }
    }

    /// The certificate file.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The key file.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Settings that switch TLS on for a port, `WS` or `COMETQL`.
    pub fn settings(&self, port: &str) -> [(String, String); 2] {
        let setting = |name: &str, path: PathBuf| {
            (
                format!("COMET_{port}_{name}"),
                path.to_string_lossy().into_owned(),
            )
        };
        [setting("TLS_CERT", self.cert()), setting("TLS_KEY", self.key())]
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}
