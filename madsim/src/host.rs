//! The host of the server: a node of the simulation that can be killed and started again over the same disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comet_server::config::Settings;
use comet_server::server;
use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::sleep;
use tokio::sync::oneshot;

/// What the running server is told, and what it tells.
#[derive(Default)]
struct Wires {
    stop: Option<oneshot::Receiver<()>>,
    stopped: Option<oneshot::Sender<()>>,
    started: Option<oneshot::Sender<()>>,
}

/// The host.
pub(crate) struct Host {
    node: NodeId,
    wires: Arc<Mutex<Wires>>,
    stop: std::cell::RefCell<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

fn locked(wires: &Mutex<Wires>) -> std::sync::MutexGuard<'_, Wires> {
    wires.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// A host without a server.
    pub(crate) fn new(settings: Settings) -> Self {
        let wires = Arc::<Mutex<Wires>>::default();
        let of_node = wires.clone();
        let node: NodeHandle = Handle::current()
            .create_node()
            .name("server")
            .init(move || serve(settings.clone(), of_node.clone()))
            .build();
        Self {
            node: node.id(),
            wires,
            stop: std::cell::RefCell::default(),
        }
    }

    /// Starts the server; it serves when this returns.
    pub(crate) async fn start(&self) {
        let (stop, told) = oneshot::channel();
        let (tell, stopped) = oneshot::channel();
        let (begun, started) = oneshot::channel();
        *locked(&self.wires) = Wires {
            stop: Some(told),
            stopped: Some(tell),
            started: Some(begun),
        };
        self.stop.replace(Some((stop, stopped)));
        Handle::current().restart(self.node);
        started.await.expect("the server starts");
    }

    /// The process dies.
    pub(crate) async fn kill(&self) {
        Handle::current().kill(self.node);
        // Until everything of it is gone.
        sleep(Duration::from_millis(1)).await;
    }

    /// The server ends in order.
    pub(crate) async fn stop(&self) {
        let wires = self.stop.borrow_mut().take();
        if let Some((stop, stopped)) = wires {
            // The server waits for it.
            let _ = stop.send(());
            stopped.await.expect("the server ends in order");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn serve(settings: Settings, wires: Arc<Mutex<Wires>>) {
    let Wires {
        stop: Some(stop),
        stopped: Some(stopped),
        started: Some(started),
    } = std::mem::take(&mut *locked(&wires))
    else {
        // The node was made, and nothing was started yet.
        return;
    };
    let running = match server::start(settings) {
        Ok(running) => running,
        Err(error) => panic!("the server does not start: {error}"),
    };
    // The other ends wait.
    let _ = started.send(());
    let _ = stop.await;
    if let Err(error) = running.stop().await {
        panic!("the server ends with losses: {error}");
    }
    let _ = stopped.send(());
}
