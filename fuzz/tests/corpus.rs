//! Each target with its seeds and a fixed number of mutations of them.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stdout, reason = "shown when a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;
use fuzz::mutate::{Dice, mutate};

/// Mutations of all seeds of a target together.
const MUTATIONS: usize = 3_000;
/// Where the numbers begin; another one is another set of mutations.
const DICE_SEED: u64 = 20_260_501;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("seed-"));
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seed");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn run(target: &str) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let seeds = seeds(target);
    let mut dice = Dice::new(DICE_SEED);
    run(b"");
    for seed in &seeds {
        run(seed);
    }
    for number in 0..MUTATIONS {
        let input = mutate(&mut dice, &seeds[number % seeds.len()], &seeds[(number / seeds.len()) % seeds.len()]);
        // Shown when the target fails; to look into it alone, put the input into the corpus.
        println!("mutation {number}: {}", input.escape_ascii());
        run(&input);
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets!(
    bag,
    block_list,
    dps_body,
    dtdl,
    edge_aside_record,
    edge_record,
    event_record,
    hub_side,
    hub_topic,
    log_acknowledged,
    log_checkpoints,
    log_segment,
    manifest,
    mqtt_decode,
    query,
    route,
    sas_token,
    state_envelope,
    telemetry_segment,
    web_socket,
);
