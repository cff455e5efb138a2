//! HTTP on behalf of a step that nobody has to trust.
//!
//! Each request has a connection of its own: the name is resolved once ([`target`]), its addresses are judged ([`address`]), the
//! connection goes to one of those that passed ([`line`]), one request and one response go over it ([`exchange`]), and it is closed.
//! So there is no second look-up that could lead elsewhere, no pool that two steps share, no proxy, no cookie, and no redirect
//! that is followed. It speaks HTTP/1.1 only: with one request for a connection, HTTP/2 would bring nothing but more to attack.
//!
//! Whether the request is within the file's grants was decided before; see `steps_sdk::grant`.

mod address;
mod exchange;
mod line;
mod target;
mod trust;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use steps_sdk::host::{Http, HttpError, HttpRequest, HttpResponse};
use tokio::sync::OnceCell;

use target::{Resolve, Target, system_resolver};
use trust::Trust;

/// Sends requests from this machine.
pub(super) struct Client {
    resolve: Resolve,
    /// Read when it is first needed, and then kept.
    trust: OnceCell<Trust>,
}

impl Client {
    pub(super) fn of_machine() -> Client {
        Client { resolve: system_resolver(), trust: OnceCell::new() }
    }

    async fn trust(&self) -> Trust {
        let read = || async {
            tokio::task::spawn_blocking(Trust::of_machine).await.expect("reading the store of CAs does not panic")
        };
        self.trust.get_or_init(read).await.clone()
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let target = Target::read(&request.url)?;
        let (private, limit) = (request.private, request.response_bytes_max);
        let message = exchange::message(&target, request)?;
        let addresses = target.addresses(&self.resolve, private).await?;
        let line = line::connect(&target, &addresses, async || self.trust().await).await?;
        exchange::exchange(line, &target, message, limit).await
    }
}

#[async_trait]
impl Http for Client {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let limit = request.timeout;
        tokio::time::timeout(limit, self.exchange(request)).await.unwrap_or(Err(HttpError::Timeout))
    }
}
