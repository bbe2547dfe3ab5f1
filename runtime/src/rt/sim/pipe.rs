//! One direction of a simulated TCP connection: the sender's buffer, the way, the receiver's buffer.
//!
//! As in a kernel: bytes stay in the sender's buffer until they have arrived; the order is kept; readiness is told once,
//! when something changes, and forgotten when an attempt finds nothing (that is how tokio and epoll see a socket); what
//! arrives for a socket that is closed is answered by a reset.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{draw, time, world};

/// How long a kernel sends again what is never confirmed.
const GIVE_UP: Duration = Duration::from_secs(15 * 60);

/// One direction.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Even: towards the listening side.
    number: u64,
    from: IpAddr,
    to: IpAddr,
    send_max: usize,
    receive_max: usize,
    state: RefCell<State>,
}

/// How a direction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// After all bytes.
    End,
    /// At once.
    Reset,
}

#[derive(Debug, Default)]
struct State {
    sending: VecDeque<u8>,
    arrived: VecDeque<u8>,
    /// What the sender said.
    said: Option<Ending>,
    /// What the receiver was told.
    told: Option<Ending>,
    /// Why nothing can be sent any more.
    refused: Option<io::ErrorKind>,
    receiver_is_gone: bool,
    /// A host left without a word: nothing arrives any more.
    is_lost: bool,
    readable: bool,
    writable: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    courier: Option<Waker>,
}

/// What is on its way.
enum Cargo {
    Bytes(usize),
    Ending(Ending),
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn remember(waker: &mut Option<Waker>, cx: &Context<'_>) {
    *waker = Some(cx.waker().clone());
}

impl Pipe {
    pub(super) fn new(number: u64, from: IpAddr, to: IpAddr) -> Self {
        let world = world();
        let weather = world.weather.borrow();
        Self {
            number,
            from,
            to,
            send_max: weather.send_buffer_bytes,
            receive_max: weather.receive_buffer_bytes,
            state: RefCell::new(State {
                writable: true,
                ..State::default()
            }),
        }
    }

    // The receiver.

    pub(super) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.readable {
            return Poll::Ready(());
        }
        remember(&mut state.reader, cx);
        Poll::Pending
    }

    /// Forgets that there was something.
    pub(super) fn clear_readable(&self) {
        self.state.borrow_mut().readable = false;
    }

    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if !state.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(state.arrived.len());
        if count == 0 && !into.is_empty() {
            return match state.told {
                None => {
                    state.readable = false;
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Some(Ending::End) => Ok(0),
                Some(Ending::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            };
        }
        for (to, byte) in into.iter_mut().zip(state.arrived.drain(..count)) {
            *to = byte;
        }
        wake(&mut state.courier);
        Ok(count)
    }

    /// The receiver closes its socket. True: it has not read everything, which the sender is told by a reset.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.state.borrow_mut();
        state.receiver_is_gone = true;
        wake(&mut state.courier);
        !state.arrived.is_empty()
    }

    // The sender.

    pub(super) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.writable {
            return Poll::Ready(());
        }
        remember(&mut state.writer, cx);
        Poll::Pending
    }

    pub(super) fn write(&self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if !state.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some(kind) = state.refused {
            return Err(kind.into());
        }
        if state.said.is_some() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut room = self.send_max - state.sending.len();
        if room == 0 {
            state.writable = false;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut written = 0;
        for slice in slices {
            let count = room.min(slice.len());
            state.sending.extend(&slice[..count]);
            room -= count;
            written += count;
        }
        wake(&mut state.courier);
        Ok(written)
    }

    /// Nothing follows what was written. False: nothing can be said any more.
    pub(super) fn end(&self) -> bool {
        self.say(Ending::End)
    }

    /// What was written and has not arrived is forgotten.
    pub(super) fn reset(&self) {
        self.state.borrow_mut().sending.clear();
        self.say(Ending::Reset);
    }

    fn say(&self, ending: Ending) -> bool {
        let mut state = self.state.borrow_mut();
        if state.said == Some(Ending::Reset) || state.refused.is_some() {
            return false;
        }
        state.said = Some(ending);
        wake(&mut state.courier);
        true
    }

    // The way.

    /// Nothing arrives any more.
    pub(super) fn lose(&self) {
        self.state.borrow_mut().is_lost = true;
    }

    fn poll_cargo(&self, cx: &Context<'_>) -> Poll<Cargo> {
        let mut state = self.state.borrow_mut();
        let room = if state.receiver_is_gone {
            usize::MAX
        } else {
            self.receive_max - state.arrived.len()
        };
        let waiting = state.sending.len();
        match state.said {
            Some(Ending::Reset) => Poll::Ready(Cargo::Ending(Ending::Reset)),
            Some(Ending::End) if waiting == 0 => Poll::Ready(Cargo::Ending(Ending::End)),
            Some(Ending::End) | None if waiting > 0 && room > 0 => {
                let segment = world().weather.borrow().segment_bytes.clone();
                let segment = draw(segment.start as u64..segment.end as u64);
                let segment = usize::try_from(segment).unwrap_or(1);
                Poll::Ready(Cargo::Bytes(segment.min(waiting).min(room)))
            }
            Some(Ending::End) | None => {
                remember(&mut state.courier, cx);
                Poll::Pending
            }
        }
    }

    /// False: nobody is there to receive it.
    fn deliver(&self, count: usize) -> bool {
        let mut state = self.state.borrow_mut();
        // Less, if the sender said reset meanwhile.
        let count = count.min(state.sending.len());
        let bytes: Vec<u8> = state.sending.drain(..count).collect();
        world().note("bytes", self.number, &bytes);
        if state.receiver_is_gone {
            return false;
        }
        state.arrived.extend(bytes);
        state.readable = true;
        wake(&mut state.reader);
        if state.sending.len() * 3 <= self.send_max * 2 {
            state.writable = true;
            wake(&mut state.writer);
        }
        true
    }

    fn tell(&self, ending: Ending) {
        world().note("ending", self.number, &[ending as u8]);
        let mut state = self.state.borrow_mut();
        state.told = Some(ending);
        state.readable = true;
        wake(&mut state.reader);
    }

    /// The sender learns that nobody receives.
    fn refuse(&self, kind: io::ErrorKind) {
        let mut state = self.state.borrow_mut();
        state.sending.clear();
        state.refused = Some(kind);
        state.writable = true;
        wake(&mut state.writer);
    }

    fn is_lost(&self) -> bool {
        self.state.borrow().is_lost
    }

    /// The receiver of this direction is told that the connection is gone, if it still cares.
    fn break_off(&self, kind: io::ErrorKind) {
        self.refuse(kind);
    }
}

/// Carries what one end sends to the other, until one of them has ended it. `back` is the other direction.
pub(super) async fn carry(pipe: Rc<Pipe>, back: Rc<Pipe>) {
    loop {
        let cargo = std::future::poll_fn(|cx| pipe.poll_cargo(cx)).await;
        world().travel(pipe.from, pipe.to).await;
        if pipe.is_lost() {
            time::sleep(GIVE_UP).await;
            pipe.break_off(io::ErrorKind::TimedOut);
            back.tell(Ending::Reset);
            return;
        }
        match cargo {
            Cargo::Bytes(count) => {
                if !pipe.deliver(count) {
                    world().travel(pipe.to, pipe.from).await;
                    pipe.break_off(io::ErrorKind::ConnectionReset);
                    back.tell(Ending::Reset);
                    return;
                }
            }
            Cargo::Ending(ending) => {
                pipe.tell(ending);
                if ending == Ending::Reset {
                    back.break_off(io::ErrorKind::ConnectionReset);
                }
                return;
            }
        }
    }
}
