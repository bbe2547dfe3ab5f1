//! The worker's side: its share of the pages on one event loop. Carries out one order per line of standard input, ends
//! with it, and tells its counters after each order and whenever they have changed.

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use super::Order;
use super::crowd::Crowd;
use super::news::News;
use crate::args::scale::WorkerArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Net, Sources};
use crate::proc;

/// How long an order may wait for its turn.
const TURN: Duration = Duration::from_millis(50);
const NEWS_EVERY: Duration = Duration::from_millis(250);

/// Runs until standard input ends.
pub(crate) fn serve(server: SocketAddr, args: &WorkerArgs) -> Result<(), Failure> {
    proc::allowed_connections();
    let orders = orders();
    let mut net = Net::with_sources(Sources::Own(args.number))?;
    let mut crowd = Crowd::new(args, server);
    let mut told = News::default();
    tell(&told)?;
    let mut next_news = 0;
    loop {
        let mut ordered = false;
        loop {
            match orders.try_recv() {
                Ok(order) => crowd.execute(&order, &mut net),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            ordered = true;
        }
        crowd.open_some(&mut net)?;
        net.turn(TURN, |event| crowd.handle(event))?;
        crowd.greet(&mut net);
        let now = clock::nanos();
        if ordered || now >= next_news {
            next_news = now + clock::span(NEWS_EVERY);
            let news = crowd.news();
            if news != told {
                told = news;
                tell(&told)?;
            }
        }
    }
}

/// Orders, read by a thread of its own because standard input cannot be polled with the sockets.
fn orders() -> Receiver<Order> {
    let (sender, orders) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = io::stdin().lock().lines().map_while(Result::ok);
        for order in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
            if sender.send(order).is_err() {
                break;
            }
        }
    });
    orders
}

fn tell(news: &News) -> Result<(), Failure> {
    let line = serde_json::to_string(news).map_err(|error| Failure::told(error.to_string()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
