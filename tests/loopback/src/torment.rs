//! Random use of a disk, compared with a copy of it.

use blkfront::Disk;
use guest_sdk::exec;

use crate::noise::Noise;
use crate::world::{SECTORS, World};

const TASKS: u64 = 8;
/// Sectors that each task has to itself.
const SPAN: u64 = SECTORS / TASKS;

/// Reads, writes, flushes and discards at random from several tasks at the same time.
///
/// # Panics
///
/// If the disk fails, or does not hold what was written.
pub fn torment(world: &World, disk: &Disk, seed: u64, rounds: usize) {
    world.front.run(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| exec::spawn(run(disk.clone(), seed * 100 + task, task * SPAN, rounds)))
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

async fn run(disk: Disk, seed: u64, base: u64, rounds: usize) {
    let mut noise = Noise::new(seed);
    let mut model = vec![0; SPAN as usize * 512];
    disk.read(base, &mut model).await.unwrap();
    for _ in 0..rounds {
        let start = noise.below(SPAN);
        let most = if noise.once_in(4) { 300 } else { 20 };
        let len = 1 + noise.below((SPAN - start).min(most));
        let range = start as usize * 512..(start + len) as usize * 512;
        let sector = base + start;
        match noise.below(10) {
            0 => disk.flush().await.unwrap(),
            1 => {
                disk.discard(sector, len, false).await.unwrap();
                model[range].fill(0);
            }
            2..6 => {
                noise.fill(&mut model[range.clone()]);
                disk.write(sector, &model[range]).await.unwrap();
            }
            6 => {
                // Somebody loses interest.
                let mut buffer = vec![0; range.len()];
                exec::race(exec::yield_now(), disk.read(sector, &mut buffer)).await;
            }
            _ => {
                let mut buffer = vec![0; range.len()];
                disk.read(sector, &mut buffer).await.unwrap();
                assert!(buffer == model[range], "{len} sectors at {sector}");
            }
        }
    }
    let mut end = vec![0; model.len()];
    disk.read(base, &mut end).await.unwrap();
    assert!(end == model, "at the end");
}
