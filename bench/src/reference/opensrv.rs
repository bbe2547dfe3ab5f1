//! A CometQL port that knows nothing: opensrv-mysql on a single thread of tokio, OK to every login and every statement.
//! The yardstick of request and response; never a part of the server (architecture.md, Decisions).

use std::io::{self, Write as _};
use std::net::Ipv4Addr;

use opensrv_mysql::{
    AsyncMysqlIntermediary, AsyncMysqlShim, InitWriter, OkResponse, ParamParser, QueryResultWriter,
    StatementMetaWriter,
};
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};

use crate::failure::Failure;

/// Runs until standard input ends. Prints an address twice where `raw-server` prints two; there are no browsers here.
pub(crate) fn serve() -> Result<(), Failure> {
    super::end_with_stdin();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        println!("{address} {address}");
        io::stdout().flush()?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(session(stream));
        }
    })
}

async fn session(stream: TcpStream) {
    let (read, write) = stream.into_split();
    let served = AsyncMysqlIntermediary::run_on(NoOp, read, write).await;
    if let Err(error) = served {
        eprintln!("no-op server: {error}");
    }
}

struct NoOp;

#[async_trait::async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for NoOp {
    type Error = io::Error;

    async fn authenticate(&self, _: &str, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        true
    }

    async fn on_init<'a>(&'a mut self, _: &'a str, writer: InitWriter<'a, W>) -> io::Result<()> {
        writer.ok().await
    }

    async fn on_prepare<'a>(&'a mut self, _: &'a str, info: StatementMetaWriter<'a, W>) -> io::Result<()> {
        info.reply(1, &[], &[]).await
    }

    async fn on_execute<'a>(
        &'a mut self,
        _: u32,
        _: ParamParser<'a>,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        results.completed(OkResponse::default()).await
    }

    async fn on_close(&mut self, _: u32) {}

    async fn on_query<'a>(&'a mut self, _: &'a str, results: QueryResultWriter<'a, W>) -> io::Result<()> {
        results.completed(OkResponse::default()).await
    }
}
