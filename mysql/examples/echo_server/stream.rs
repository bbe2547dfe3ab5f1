//! A socket that may become encrypted midway.
//!
//! Promise: the bytes that were received behind the client's TLS request are the first that TLS sees.

use std::io::{Chain, Cursor, Read, Result, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, Rewound>>),
}

/// Reads what was already received, then the socket.
pub(crate) struct Rewound {
    input: Chain<Cursor<bytes::Bytes>, TcpStream>,
    output: TcpStream,
}

/// A certificate nobody has to trust.
pub(crate) fn self_signed() -> Arc<ServerConfig> {
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate for localhost");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("key and certificate belong together");
    Arc::new(config)
}

impl Stream {
    pub(crate) fn upgrade(self, tls: &Arc<ServerConfig>, rest: bytes::Bytes) -> Result<Self> {
        let Self::Plain(socket) = self else {
            unreachable!("TLS is begun once")
        };
        let rewound = Rewound {
            output: socket.try_clone()?,
            input: Cursor::new(rest).chain(socket),
        };
        let connection = ServerConnection::new(Arc::clone(tls)).map_err(std::io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, rewound))))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Read for Rewound {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Rewound {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }
}
