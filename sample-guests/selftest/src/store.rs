//! Xenstore.

use alloc::vec;
use core::time::Duration;

use guest_sdk::{
    Env,
    abi::Errno,
    exec,
    xenstore::{Error, Xenstore},
};

use crate::{Context, Outcome, check};

pub async fn nodes_watches_and_transactions(env: Env) -> Outcome {
    // A domain that dom0 makes no store for has none to wait for.
    let store = match exec::timeout(Duration::from_secs(1), env.xenstore()).await {
        Ok(Err(Errno::ENOENT)) | Err(_) => return Ok(()),
        Ok(store) => store.at("connect")?,
    };
    nodes(&store).await.at("nodes")?;
    watch(&store).await.at("watch")
}

async fn nodes(store: &Xenstore) -> Outcome {
    let long = vec![b'x'; 1800];
    store.write("data/long", &long).await.at("write")?;
    check!(store.read("data/long").await == Ok(long));
    store.write("data/n", "5").await.at("write")?;
    check!(store.directory("data").await.at("directory")?.len() == 2);
    let n: u32 = store
        .transaction(async |tx| {
            let n: u32 = tx.read_as("data/n").await?;
            tx.write_display("data/n", n + 1).await?;
            Ok(n)
        })
        .await
        .at("transaction")?;
    check!(n == 5 && store.read_as("data/n").await == Ok(6));
    let given_up: Result<(), Error> = store
        .transaction(async |tx| {
            tx.remove("data/n").await?;
            Err(Error::Malformed)
        })
        .await;
    check!(given_up == Err(Error::Malformed));
    check!(store.exists("data/n").await == Ok(true));
    check!(store.read("/no/such/node").await.is_err());
    check!(store.permissions("data").await.at("permissions")?.len() == 1);
    Ok(())
}

async fn watch(store: &Xenstore) -> Outcome {
    let mut watch = store.watch("data").await.at("watch")?;
    check!(watch.next().await == Ok("data".into()));
    store.write("data/n", "").await.at("write")?;
    check!(watch.next().await == Ok("data/n".into()));
    for node in ["data/n", "data/long"] {
        store.remove(node).await.at("remove")?;
        check!(watch.next().await == Ok(node.into()));
    }
    Ok(())
}
