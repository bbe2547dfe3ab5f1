//! What the browser port serves beside WebSockets: pages, files, the client, and the endpoints behind the pages.

use std::path::Path;

use super::access::{Asked, Audience};
use super::answer::{self, Answer, not_found};
use super::assets::{self, Asset, Assets};
use super::console::Console;
use super::demo::Demo;
use super::pages::Pages;
use super::routes::Route;
use super::static_files::{NotServed, Served, StaticFiles, relative_path};
use crate::config::Settings;
use crate::rt::task;
use crate::shared::Addresses;

/// Where a page would be.
const CONSOLE_IS_OFF: &str = "The console is not open to you here.\n\
    It is open to browsers on the same machine, without a proxy in between, unless main.console says otherwise\n\
    (COMET_CONSOLE=on opens it to everybody who knows the password).\n";
const DEMO_IS_OFF: &str = "The demonstration is not open to you here.\n\
    It is open to browsers on the same machine, without a proxy in between, unless main.demo says otherwise\n\
    (COMET_DEMO=on opens it to everybody).\n";

/// Pages and files, made once.
#[derive(Debug)]
pub(crate) struct Site {
    node_name: String,
    pages: Pages,
    /// Scripts and styles of the pages.
    parts: Assets,
    client: Assets,
    files: Option<StaticFiles>,
    pub(super) console: Console,
    pub(super) demo: Demo,
}

impl Site {
    pub(crate) fn new(settings: &Settings, addresses: Addresses) -> Self {
        let files = |base: &Path| StaticFiles::new(base, settings.content_types.clone());
        let is_private = addresses.ws.ip().is_loopback() && settings.ws.trusted_proxies.is_empty();
        let port = addresses.cometql.map(|address| address.port());
        Self {
            node_name: settings.core.node_name.to_string(),
            pages: Pages::new(&settings.core.product, port),
            parts: assets::site(),
            client: assets::client(),
            files: settings.base_dir.as_deref().map(files),
            console: Console::new(Audience::of(settings.pages.console, is_private)),
            demo: Demo::new(
                Audience::of(settings.pages.demo, is_private),
                settings.pages.demo_dev,
            ),
        }
    }

    /// Answers what needs neither a WebSocket nor the core.
    pub(super) async fn answer(&self, route: Route<'_>, asked: &Asked, ready: bool) -> Answer {
        match route {
            Route::Info => answer::info(&self.node_name, ready),
            Route::Index => answer::page(&self.pages.index, &asked.headers),
            Route::Demo if self.demo.audience.includes(asked) => {
                answer::page(&self.pages.demo, &asked.headers)
            }
            Route::Demo => answer::missing(DEMO_IS_OFF),
            Route::Console if self.console.audience.includes(asked) => {
                answer::page(&self.pages.console, &asked.headers)
            }
            Route::Console => answer::missing(CONSOLE_IS_OFF),
            Route::File { path } => self.file(path, asked).await,
            Route::Options => answer::options(),
            Route::OptionsOfEndpoint => answer::options_of_endpoint(),
            Route::ConsoleQuery | Route::DemoApi | Route::Nothing | Route::WebSocket { .. } => not_found(),
        }
    }

    /// A file of the administrator wins over the client, but not over parts of our pages: the console runs them.
    async fn file(&self, path: &str, asked: &Asked) -> Answer {
        if let Some(part) = find(&self.parts, path) {
            return answer::part_of_page(part, &asked.headers);
        }
        match self.read(path.to_owned()).await {
            Ok(served) => answer::file(served),
            Err(NotServed::Busy) => answer::busy(),
            Err(NotServed::Missing) => match find(&self.client, path) {
                Some(asset) => answer::client(asset, &asked.headers),
                None => not_found(),
            },
        }
    }

    async fn read(&self, path: String) -> Result<Served, NotServed> {
        let files = self.files.clone().ok_or(NotServed::Missing)?;
        // Only a panic could come instead of an answer.
        task::spawn_blocking(move || files.read(&path))
            .await
            .unwrap_or(Err(NotServed::Missing))
    }
}

fn find<'a>(assets: &'a Assets, path: &str) -> Option<&'a Asset> {
    let name = relative_path(path)?;
    let found = assets.iter().find(|(path, _)| *path == name);
    found.map(|(_, asset)| asset)
}
