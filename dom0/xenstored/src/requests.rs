//! The messages, type by type.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::io::xs_wire::{Header, msg};

use crate::connection::Origin;
use crate::daemon::Daemon;
use crate::domains::Host;
use crate::error::{Error, Result};
use crate::path::{Path, Special};
use crate::perms::{Caller, Perms};
use crate::quota::Accounts;
use crate::transaction::Transaction;
use crate::view::View;
use crate::watch::{Change, ConnectionId, Watches};
use crate::wire::{self, Message};

/// The reply of requests that have nothing to say.
pub(crate) const OK: &[u8] = b"OK\0";

/// A request with what its handlers ask about the client.
pub(crate) struct Request<'a> {
    pub conn: ConnectionId,
    pub caller: Caller,
    pub transaction: u32,
    pub payload: &'a [u8],
    pub origin: Origin,
    pub now_ms: u64,
}

/// Tells whether only the control domain may send a message of this type.
fn is_privileged(kind: u32) -> bool {
    matches!(
        kind,
        msg::CONTROL
            | msg::INTRODUCE
            | msg::RELEASE
            | msg::IS_DOMAIN_INTRODUCED
            | msg::RESUME
            | msg::SET_TARGET
    )
}

impl<H: Host> Daemon<H> {
    /// Answers a request.
    pub(crate) fn serve(&mut self, id: ConnectionId, message: Message, origin: Origin, now_ms: u64) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let caller = conn.caller();
        // A guest's request counts until its reply is taken.
        let tracked = Some(origin).filter(|_| !caller.privileged);
        if let Some(origin) = tracked {
            conn.add_consequence(origin);
        }
        let transaction = message.header.tx_id;
        let request = Request { conn: id, caller, transaction, payload: &message.payload, origin, now_ms };
        let mut greeting = None;
        let outcome = self.dispatch(message.header.kind, &request, &mut greeting);
        let (kind, payload) = match outcome {
            Ok(payload) if payload.len() <= wire::PAYLOAD_MAX => (message.header.kind, payload),
            Ok(_) => (msg::ERROR, error_payload(Error::E2big)),
            Err(error) => (msg::ERROR, error_payload(error)),
        };
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let cost = conn.reply(Header { kind, ..message.header }, payload, tracked);
        self.accounts.charge_memory(caller.domid, cost);
        if let Some(event) = greeting {
            self.queue_event(id, event, None, now_ms);
        }
    }

    fn dispatch(
        &mut self,
        kind: u32,
        request: &Request,
        greeting: &mut Option<Arc<[u8]>>,
    ) -> Result<Vec<u8>> {
        if is_privileged(kind) && !request.caller.privileged {
            return Err(Error::Eacces);
        }
        let ignores_transaction = matches!(kind, msg::WATCH | msg::UNWATCH);
        if kind < msg::TYPE_COUNT && !ignores_transaction {
            self.check_transaction(request)?;
        }
        match kind {
            msg::CONTROL => self.control(request.payload),
            msg::DIRECTORY => self.directory(request),
            msg::DIRECTORY_PART => self.directory_part(request),
            msg::READ => self.read(request),
            msg::GET_PERMS => self.get_perms(request),
            msg::WATCH => self.watch(request, greeting),
            msg::UNWATCH => self.unwatch(request),
            msg::RESET_WATCHES => self.reset_watches(request),
            msg::TRANSACTION_START => self.transaction_start(request),
            msg::TRANSACTION_END => self.transaction_end(request),
            msg::WRITE => self.write(request),
            msg::MKDIR => self.change(request, |view, path| view.make_directory(path)),
            msg::RM => self.change(request, |view, path| view.remove(path)),
            msg::SET_PERMS => self.set_perms(request),
            msg::GET_DOMAIN_PATH => domain_path(request.payload),
            msg::INTRODUCE => self.introduce(request),
            msg::RELEASE => self.release(request),
            msg::IS_DOMAIN_INTRODUCED => self.is_introduced(request),
            msg::RESUME => self.resume(request),
            msg::SET_TARGET => self.set_target(request),
            _ => Err(Error::Enosys),
        }
    }

    fn check_transaction(&self, request: &Request) -> Result<()> {
        let conn = self.connections.get(&request.conn).ok_or(Error::Eio)?;
        if request.transaction == 0 || conn.transactions.contains_key(&request.transaction) {
            Ok(())
        } else {
            Err(Error::Enoent)
        }
    }

    fn resolve(&self, request: &Request, raw: &[u8], special: Special) -> Result<Path> {
        let limit = (!request.caller.privileged).then_some(self.accounts.limits.path_max);
        Path::resolve(raw, request.caller.domid, special, limit)
    }

    /// Runs an operation on the tree as the client sees it in this request.
    fn view<T>(
        &mut self,
        request: &Request,
        operation: impl FnOnce(&mut View<'_>) -> Result<T>,
    ) -> Result<T> {
        let conn = self.connections.get_mut(&request.conn).ok_or(Error::Eio)?;
        let transaction = conn.transactions.get_mut(&request.transaction);
        let (store, accounts) = (&mut self.store, &mut self.accounts);
        operation(&mut View { store, accounts, transaction, caller: request.caller })
    }

    fn read(&mut self, request: &Request) -> Result<Vec<u8>> {
        let path = self.resolve(request, wire::only_string(request.payload)?, Special::Refused)?;
        self.view(request, |view| Ok(view.read(&path)?.value.to_vec()))
    }

    fn get_perms(&mut self, request: &Request) -> Result<Vec<u8>> {
        let path = self.resolve(request, wire::only_string(request.payload)?, Special::Allowed)?;
        self.view(request, |view| Ok(view.permissions(&path)?.to_wire()))
    }

    fn directory(&mut self, request: &Request) -> Result<Vec<u8>> {
        let path = self.resolve(request, wire::only_string(request.payload)?, Special::Refused)?;
        let (_, names) = self.view(request, |view| view.directory(&path))?;
        Ok(name_list(&names))
    }

    /// Lists children from a byte offset of the whole list on; the list's end shows by an empty name.
    fn directory_part(&mut self, request: &Request) -> Result<Vec<u8>> {
        let strings = wire::strings(request.payload);
        let [raw, offset] = strings[..] else { return Err(Error::Einval) };
        let path = self.resolve(request, raw, Special::Refused)?;
        let offset = usize::try_from(wire::parse_number(offset)?).map_err(|_| Error::Einval)?;
        let (generation, names) = self.view(request, |view| view.directory(&path))?;
        let list = name_list(&names);
        let mut reply = format!("{generation}\0").into_bytes();
        let rest = list.get(offset..).unwrap_or_default();
        let room = wire::PAYLOAD_MAX - reply.len() - 1;
        let part = match rest.get(..room) {
            None => rest,
            Some(part) => &part[..part.iter().rposition(|&byte| byte == 0).map_or(0, |last| last + 1)],
        };
        reply.extend_from_slice(part);
        if part.len() == rest.len() {
            reply.push(0);
        }
        Ok(reply)
    }

    fn write(&mut self, request: &Request) -> Result<Vec<u8>> {
        let (raw, value) = wire::first_string(request.payload)?;
        let path = self.resolve(request, raw, Special::Refused)?;
        let changes = self.view(request, |view| view.write(&path, value))?;
        Ok(self.changed(request, &changes))
    }

    fn change(
        &mut self,
        request: &Request,
        operation: impl FnOnce(&mut View<'_>, &Path) -> Result<Vec<Change>>,
    ) -> Result<Vec<u8>> {
        let path = self.resolve(request, wire::only_string(request.payload)?, Special::Refused)?;
        let changes = self.view(request, |view| operation(view, &path))?;
        Ok(self.changed(request, &changes))
    }

    fn set_perms(&mut self, request: &Request) -> Result<Vec<u8>> {
        let strings = wire::strings(request.payload);
        let (raw, perms) = strings.split_first().ok_or(Error::Einval)?;
        let limit = self.accounts.limits.node_permissions;
        Accounts::allow(&request.caller, 0, perms.len(), limit)?;
        let perms = Perms::parse(perms)?.voiding(|domid| self.domain_exists(domid));
        let path = self.resolve(request, raw, Special::Allowed)?;
        let changes = self.view(request, |view| view.set_permissions(&path, perms))?;
        Ok(self.changed(request, &changes))
    }

    /// Fires the watches for what a request changed outside of a transaction.
    fn changed(&mut self, request: &Request, changes: &[Change]) -> Vec<u8> {
        if request.transaction == 0 && !changes.is_empty() {
            self.pay_for_write(request);
        }
        self.fire_for(request, changes);
        OK.to_vec()
    }

    fn fire_for(&mut self, request: &Request, changes: &[Change]) {
        let origin = Some(request.origin).filter(|_| !request.caller.privileged);
        self.fire(changes, origin, request.now_ms);
    }

    /// Takes the price of a write from a guest's credit, while there are transactions that it might disturb.
    fn pay_for_write(&mut self, request: &Request) {
        if self.open_transactions > 0
            && !request.caller.privileged
            && let Some(domain) = self.domains.get_mut(&request.caller.domid)
        {
            self.rate.spend(&mut domain.writes, request.now_ms);
        }
    }

    /// Sets a watch; the event that each begins with is left in `greeting`, to follow the reply.
    fn watch(&mut self, request: &Request, greeting: &mut Option<Arc<[u8]>>) -> Result<Vec<u8>> {
        let (path, token, hidden) = self.watch_arguments(request)?;
        let used = self.accounts.get(request.caller.domid).watches;
        if self.watches.contains(request.conn, &path, token) {
            return Err(Error::Eexist);
        }
        Accounts::allow(&request.caller, used, 1, self.accounts.limits.watches)?;
        let cost = Watches::cost(&path, token);
        self.accounts.allow_memory(&request.caller, request.caller.domid, cost)?;
        let event = self.watches.add(request.conn, &path, token, hidden)?;
        self.accounts.charge_memory(request.caller.domid, cost);
        self.accounts.get_mut(request.caller.domid).watches += 1;
        *greeting = Some(event).filter(|event| event.len() <= wire::PAYLOAD_MAX);
        Ok(OK.to_vec())
    }

    fn unwatch(&mut self, request: &Request) -> Result<Vec<u8>> {
        let (path, token, _) = self.watch_arguments(request)?;
        self.watches.remove(request.conn, &path, token)?;
        let cost = Watches::cost(&path, token);
        self.accounts.reduce(request.caller.domid, |account| {
            account.watches -= 1;
            account.memory -= cost;
        });
        Ok(OK.to_vec())
    }

    fn watch_arguments<'a>(&self, request: &Request<'a>) -> Result<(Path, &'a [u8], usize)> {
        let strings = wire::strings(request.payload);
        let [raw, token] = strings[..] else { return Err(Error::Einval) };
        let path = self.resolve(request, raw, Special::Allowed)?;
        let hidden = path.as_str().len() - raw.len();
        Ok((path, token, hidden))
    }

    fn reset_watches(&mut self, request: &Request) -> Result<Vec<u8>> {
        self.forget_watches(request.conn);
        self.forget_transactions(request.conn);
        Ok(OK.to_vec())
    }

    fn transaction_start(&mut self, request: &Request) -> Result<Vec<u8>> {
        if request.transaction != 0 {
            return Err(Error::Ebusy);
        }
        let used = self.accounts.get(request.caller.domid).transactions;
        Accounts::allow(&request.caller, used, 1, self.accounts.limits.transactions)?;
        let conn = self.connections.get_mut(&request.conn).ok_or(Error::Eio)?;
        let id = conn.open_transaction();
        self.accounts.get_mut(request.caller.domid).transactions += 1;
        self.open_transactions += 1;
        Ok(format!("{id}\0").into_bytes())
    }

    fn transaction_end(&mut self, request: &Request) -> Result<Vec<u8>> {
        let commit = match wire::only_string(request.payload)? {
            b"T" => true,
            b"F" => false,
            _ => return Err(Error::Einval),
        };
        let transaction = self.close_transaction(request.conn, request.transaction).ok_or(Error::Enoent)?;
        if commit {
            let changes = transaction.commit(&request.caller, &mut self.store, &mut self.accounts)?;
            if !changes.is_empty() {
                self.pay_for_write(request);
            }
            self.fire_for(request, &changes);
        }
        Ok(OK.to_vec())
    }

    /// Takes a transaction off its connection's books.
    pub(crate) fn close_transaction(&mut self, conn: ConnectionId, id: u32) -> Option<Transaction> {
        let conn = self.connections.get_mut(&conn)?;
        let transaction = conn.transactions.remove(&id)?;
        self.open_transactions -= 1;
        self.accounts.reduce(conn.domid, |account| {
            account.transactions -= 1;
            account.memory -= transaction.memory();
        });
        Some(transaction)
    }
}

fn error_payload(error: Error) -> Vec<u8> {
    format!("{error}\0").into_bytes()
}

fn name_list(names: &[String]) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names {
        list.extend_from_slice(name.as_bytes());
        list.push(0);
    }
    list
}

fn domain_path(payload: &[u8]) -> Result<Vec<u8>> {
    let domid = wire::parse_domid(wire::only_string(payload)?)?;
    Ok(format!("{}\0", Path::of_domain(domid)).into_bytes())
}
