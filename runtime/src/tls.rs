//! TLS for a port: certificate and key from PEM files, read again on request without dropping a connection.
//!
//! Promise: one crypto provider for the whole process; a broken file at start is a clear error, and at a reload leaves
//! the old certificate in force.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is no PEM file of its kind.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: rustls_pki_types::pem::Error,
    },
    /// The certificate file holds no certificate.
    #[error("{path}: no certificate in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or are of an unknown kind.
    #[error("{path}: {cause}")]
    Unusable {
        /// The certificate file.
        path: PathBuf,
        /// What rustls said.
        cause: rustls::Error,
    },
}

/// A port that speaks TLS.
#[derive(Debug)]
pub(crate) struct TlsPort {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl TlsPort {
    pub(crate) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = RwLock::new(read(&files)?);
        Ok(Self { files, config })
    }

    /// Reads the files again; new connections get the new certificate.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .into()
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let file_error = |path: &PathBuf, cause| TlsError::File {
        path: path.clone(),
        cause,
    };
    let unusable = |cause| TlsError::Unusable {
        path: files.cert.clone(),
        cause,
    };
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| file_error(&files.cert, cause))?;
    if chain.is_empty() {
        return Err(TlsError::Empty {
            path: files.cert.clone(),
        });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| file_error(&files.key, cause))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(Arc::new(config))
}
