use device_tree::Phandles;

use super::*;
use crate::machine::CpuId;

/// CPUs with affinities from 0x100 on, whose phandles are 10 and so on, and pools: CPUs, scheduler.
fn pools_of(cpus: u32, nodes: &[(&[u32], Option<&str>)]) -> Result<(Hv, Vec<u32>), String> {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").u32("#address-cells", 1).u32("#size-cells", 1);
    writer.begin_node("cpus").u32("#address-cells", 1).u32("#size-cells", 0);
    for cpu in 0..4 {
        writer.begin_node(&format!("cpu@{cpu}")).str("device_type", "cpu");
        writer.u32("reg", 0x100 + cpu).u32("phandle", 10 + cpu).end_node();
    }
    writer.end_node();
    writer.begin_node("chosen");
    for (at, (its, scheduler)) in nodes.iter().enumerate() {
        writer.begin_node(&format!("pool{at}")).str("compatible", "xen,cpupool").cells("cpupool-cpus", its);
        if let Some(scheduler) = scheduler {
            writer.str("cpupool-sched", scheduler);
        }
        writer.end_node();
    }
    writer.end_node().end_node();
    let blob = writer.finish();
    let tree = Tree::parse(&blob).unwrap();

    let hv: Hv = hypervisor(64, cpus as usize);
    let up: Vec<u64> = (0..cpus).map(|cpu| 0x100 + u64::from(cpu)).collect();
    for cpu in 0..cpus {
        hv.add_cpu(CpuId(cpu));
    }
    let made = hv.make_pools(&Chosen::of(&tree), &Phandles::of(&tree), &up);
    let numbers = made.map(|made| made.iter().map(|(_, id)| *id).collect());
    numbers.map_err(|error| error.to_string()).map(|numbers| (hv, numbers))
}

fn cpus(hv: &Hv) -> Vec<u64> {
    let all = (0..8).map_while(|id| hv.pool(id).ok());
    all.map(|pool| hv.cpus_of(&pool)).collect()
}

#[test]
fn without_nodes_there_is_one_pool() {
    let (hv, numbers) = pools_of(3, &[]).unwrap();
    assert_eq!((numbers, cpus(&hv)), (vec![], vec![0b111]));
}

#[test]
fn pools_are_numbered_in_order_but_for_the_boot_cpus() {
    let (hv, numbers) = pools_of(4, &[(&[11], None), (&[13, 10], Some("credit2"))]).unwrap();
    assert_eq!((numbers, cpus(&hv)), (vec![1, 0], vec![0b1001, 0b0010, 0b0100]));
    let (hv, numbers) = pools_of(4, &[(&[12, 11], None), (&[13], None)]).unwrap();
    assert_eq!((numbers, cpus(&hv)), (vec![2, 1], vec![0b0001, 0b1000, 0b0110]));
    let (hv, numbers) = pools_of(2, &[(&[10], None), (&[11], None)]).unwrap();
    assert_eq!((numbers, cpus(&hv), hv.free_cpus()), (vec![0, 1], vec![0b01, 0b10], 0));
}

#[test]
fn what_makes_no_sense_is_named() {
    let error = |cpus, nodes: &[(&[u32], Option<&str>)]| pools_of(cpus, nodes).map(|_| ()).unwrap_err();
    assert_eq!(error(2, &[(&[11], Some("null"))]), "/chosen/pool0: `cpupool-sched` is not supported");
    let bad = "/chosen/pool0: bad or missing `cpupool-cpus`";
    for its in [&[][..], &[99], &[12], &[11, 11]] {
        assert_eq!(error(2, &[(its, None)]), bad, "{its:?}");
    }
    assert_eq!(error(2, &[(&[11], None), (&[11], None)]), "/chosen/pool1: bad or missing `cpupool-cpus`");
}
