//! Grants, from this domain to itself.

use alloc::{vec, vec::Vec};

use guest_sdk::{
    Env,
    abi::PAGE_SIZE,
    grant::{self, Access, Grant, Mapping, Place},
    shared::Memory,
};

use crate::{Context, Outcome, check};

pub async fn a_page_lent_to_ourselves_is_the_same_page(env: Env) -> Outcome {
    let me = env.domid().at("domid")?;
    for count in [1, 4, 20] {
        let grant = Grant::of_zeroes(me, count, Access::ReadWrite).at("grant")?;
        let mapping = Mapping::new(me, grant.grefs(), Access::ReadWrite).at("map")?;
        for page in 0..count {
            let at = page * PAGE_SIZE + 8 * page;
            grant.shared().write(at, &(page as u64 + 1));
            check!(mapping.shared().read::<u64>(at) == page as u64 + 1);
            mapping.shared().write(at, &7u64);
            check!(grant.shared().read::<u64>(at) == 7);
        }
    }
    Ok(())
}

pub async fn a_grant_in_use_is_kept(env: Env) -> Outcome {
    let me = env.domid().at("domid")?;
    let grant = Grant::of_zeroes(me, 1, Access::ReadWrite).at("grant")?;
    let mapping = Mapping::new(me, grant.grefs(), Access::ReadOnly).at("map")?;
    let Err(grant) = grant.end() else {
        return Err("a mapped grant ended".into());
    };
    grant.shared().write(0, &42u32);
    drop(grant);
    check!(grant::reap() == 1);
    check!(mapping.shared().read::<u32>(0) == 42);
    drop(mapping);
    check!(grant::reap() == 0);

    let grant = Grant::of_zeroes(me, 1, Access::ReadOnly).at("grant")?;
    check!(Mapping::new(me, grant.grefs(), Access::ReadWrite).is_err());
    drop(Mapping::new(me, grant.grefs(), Access::ReadOnly).at("map to read")?);
    check!(grant.end().is_ok());
    Ok(())
}

pub async fn copies_arrive_whole(env: Env) -> Outcome {
    let me = env.domid().at("domid")?;
    let grant = Grant::of_zeroes(me, 1, Access::ReadWrite).at("grant")?;
    let place = Place { domid: me, gref: grant.gref(), offset: 33 };
    let out: Vec<u8> = (0..4000u32).map(|n| (n * 31) as u8).collect();
    grant::to_grant(place, &out).at("copy out")?;
    let mut back = vec![0; out.len()];
    grant::from_grant(place, &mut back).at("copy in")?;
    check!(out == back);
    check!(grant::to_grant(place, &vec![0; PAGE_SIZE]).is_err());
    Ok(())
}

/// More than one frame of the table holds.
pub async fn many_grants_fit(env: Env) -> Outcome {
    let me = env.domid().at("domid")?;
    let mut grants = Vec::new();
    for _ in 0..40 {
        grants.push(Grant::of_zeroes(me, 16, Access::ReadOnly).at("grant")?);
    }
    let last = grants.pop().map(|grant| Mapping::new(me, grant.grefs(), Access::ReadOnly).is_ok());
    check!(last == Some(true));
    Ok(())
}
