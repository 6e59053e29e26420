//! The fuzz targets as plain loops: a million inputs or ten minutes each, from a seed. `soak [inputs] [seconds] [seed]`.
use std::time::{Duration, Instant};

/// xorshift64*: the same seed gives the same inputs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.roll() % most;
        (0..length).map(|_| self.roll().to_le_bytes()[7]).collect()
    }
}

fn main() {
    let argument = |at: usize, default: u64| {
        std::env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (inputs, seconds, seed) = (argument(1, 1_000_000), argument(2, 600), argument(3, 1));
    type Target = (&'static str, fn(&[u8]));
    let targets: [Target; 4] = [
        ("debts", saved_template_fuzz::debts),
        ("objects", saved_template_fuzz::objects),
        ("manifests", saved_template_fuzz::manifests),
        ("replies", saved_template_fuzz::replies),
    ];
    let mut failed = false;
    for (name, body) in targets {
        let mut dice = Dice(seed | 1);
        let (began, mut done) = (Instant::now(), 0);
        while done < inputs && began.elapsed() < Duration::from_secs(seconds) {
            let bytes = dice.bytes(2000);
            if std::panic::catch_unwind(|| body(&bytes)).is_err() {
                println!("{name}: input {done} of seed {seed} failed");
                failed = true;
                break;
            }
            done += 1;
        }
        println!("{name}: {done} inputs in {} s, seed {seed}", began.elapsed().as_secs());
    }
    std::process::exit(i32::from(failed));
}
