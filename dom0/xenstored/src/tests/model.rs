//! Random requests: a transaction that commits gave the answers that it would have given at its commit, and the
//! books are right at every moment.

use std::string::String;
use std::vec::Vec;

use xen_abi::Domid;
use xen_abi::io::xs_wire::msg;

use super::bed::{Bed, DOM0};

/// A small generator of numbers that look random (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const GUESTS: u16 = 3;

/// A request and who sends it.
#[derive(Clone, Debug)]
struct Step {
    from: Domid,
    kind: u32,
    payload: String,
}

fn step(random: &mut Random, from: Domid) -> Step {
    let base = random.pick(&["/shared", "/shared/a", "/local/domain/1", "/local/domain/2", "x"]);
    let rest = random.pick(&["", "/a", "/b", "/a/b", "/a-b", "/a/b/c"]);
    let path = std::format!("{base}{rest}");
    let owner = if from == DOM0 { random.below(usize::from(GUESTS) + 1) } else { usize::from(from.0) };
    let other = random.below(usize::from(GUESTS) + 2);
    let letter = |random: &mut Random| random.pick(&["n", "r", "w", "b"]);
    let (kind, payload) = match random.below(10) {
        0..=2 => (msg::WRITE, std::format!("{path}|{}", random.below(5))),
        3 => (msg::MKDIR, std::format!("{path}|")),
        4 => (msg::RM, std::format!("{path}|")),
        5 => {
            let (first, second) = (letter(random), letter(random));
            (msg::SET_PERMS, std::format!("{path}|{first}{owner}|{second}{other}|"))
        }
        6 => (msg::GET_PERMS, std::format!("{path}|")),
        7 => (msg::DIRECTORY, std::format!("{path}|")),
        _ => (msg::READ, std::format!("{path}|")),
    };
    Step { from, kind, payload }
}

struct Open {
    id: u32,
    from: Domid,
    done: Vec<(Step, String)>,
}

/// Two beds: in one, transactions run side by side; the other sees only those that commit, as single requests.
struct Pair {
    real: Bed,
    plain: Bed,
    open: Vec<Open>,
    commits: usize,
    conflicts: usize,
}

impl Pair {
    fn new() -> Self {
        let mut beds = [Bed::with_guests(GUESTS), Bed::with_guests(GUESTS)];
        for bed in &mut beds {
            bed.write(DOM0, "/shared", "");
            bed.ask(DOM0, msg::SET_PERMS, "/shared|b0|");
            // So that the rate limit does not hold anybody up.
            bed.now += 1_000_000;
        }
        let [real, plain] = beds;
        Self { real, plain, open: Vec::new(), commits: 0, conflicts: 0 }
    }

    fn both(&mut self, step: &Step) {
        let answer = self.real.ask(step.from, step.kind, &step.payload);
        assert_eq!(answer, self.plain.ask(step.from, step.kind, &step.payload), "{step:?}");
    }

    fn end(&mut self, index: usize, commit: bool) {
        let open = self.open.swap_remove(index);
        let answer = self.real.end(open.id, open.from, if commit { "T|" } else { "F|" });
        match (commit, answer.as_str()) {
            (true, "OK|") => {
                self.commits += 1;
                for (step, expected) in &open.done {
                    let answer = self.plain.ask(step.from, step.kind, &step.payload);
                    assert_eq!(answer, *expected, "{step:?} of {:?}", open.done);
                }
            }
            (true, "EAGAIN|") => self.conflicts += 1,
            (false, "OK|") => {}
            other => panic!("{other:?}"),
        }
    }

    fn turn(&mut self, random: &mut Random) {
        self.real.now += 1000;
        self.plain.now += 1000;
        let from = Domid(random.below(usize::from(GUESTS) + 1) as u16);
        match random.below(20) {
            0 if self.open.len() < 4 => {
                let id = self.real.start(from);
                self.open.push(Open { id, from, done: Vec::new() });
            }
            1 if !self.open.is_empty() => {
                let (index, commit) = (random.below(self.open.len()), random.below(4) > 0);
                self.end(index, commit);
            }
            2..=4 => {
                let step = step(random, from);
                self.both(&step);
            }
            _ if !self.open.is_empty() => {
                let index = random.below(self.open.len());
                let step = step(random, self.open[index].from);
                let answer = self.real.ask_in(self.open[index].id, step.from, step.kind, &step.payload);
                self.open[index].done.push((step, answer));
            }
            _ => {}
        }
    }
}

#[test]
fn committed_transactions_are_as_if_they_had_run_alone() {
    let mut commits = 0;
    let mut conflicts = 0;
    for seed in 1..30 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut pair = Pair::new();
        for turn in 0..400 {
            pair.turn(&mut random);
            if turn % 50 == 49 {
                assert_eq!(pair.real.dump(), pair.plain.dump());
                pair.real.check();
            }
        }
        while !pair.open.is_empty() {
            pair.end(0, false);
        }
        for id in 0..=GUESTS {
            let account = |bed: &Bed| bed.daemon.accounts.get(Domid(id));
            assert_eq!(account(&pair.real), account(&pair.plain));
        }
        for id in 1..=GUESTS {
            pair.real.destroy(Domid(id));
        }
        pair.real.check();
        assert_eq!(pair.real.daemon.accounts.domains().collect::<Vec<_>>(), [DOM0]);
        commits += pair.commits;
        conflicts += pair.conflicts;
    }
    assert!(commits > 100 && conflicts > 20, "{commits} commits, {conflicts} conflicts");
}
