//! TLS on both ports with one certificate (protocol.md 7.1; the browser port is new).

use std::sync::Arc;

use comet_tests::page::{Page, path};
use comet_tests::server::Server;
use comet_tests::sql::{options, run};
use comet_tests::tls::Certificate;
use mysql_async::{Conn, SslOpts};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn both_ports() {
    let certificate = Certificate::new();
    let settings: Vec<(String, String)> = certificate
        .settings("WS")
        .into_iter()
        .chain(certificate.settings("COMETQL"))
        .collect();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    let server = Server::start_with(&settings);

    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(certificate.der.clone()))
        .expect("a certificate");
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.ws)
        .await
        .expect("the browser port accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector
        .connect(name, stream)
        .await
        .expect("TLS with a checked certificate");
    let mut page = Page::over(stream, &format!("wss://localhost{}", path("", "", ""))).await;
    assert_eq!(page.frame().await["authorized"], false);
    page.subscribe(&["news"]).await;

    let roots = SslOpts::default().with_root_certs(vec![certificate.cert().into()]);
    let secured = options(server.cometql).ssl_opts(Some(roots));
    let mut sql = Conn::new(secured).await.expect("TLS with a checked certificate");
    run(
        &mut sql,
        "INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'secret')",
    )
    .await;
    assert_eq!(page.frame().await["data"], "secret");
}
