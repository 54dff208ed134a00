#![allow(clippy::unwrap_used)]
use super::super::tests::{BYTES_MAX, DIR, Rig, deliver_all, forever, id, module, store_sized, upstream};
use super::super::{Queues, lock};
use super::*;

fn segments(rig: &Rig, below: &str) -> Vec<std::path::PathBuf> {
    let is_segment = |path: &std::path::PathBuf| {
        path.starts_with(Path::new(DIR).join(below)) && path.extension().is_some_and(|e| e == "log")
    };
    let mut paths: Vec<_> = rig.files.paths().into_iter().filter(is_segment).collect();
    paths.sort();
    paths
}

fn flip(rig: &Rig, path: &Path, at: usize) {
    let mut contents = rig.files.contents(path).unwrap();
    contents[at] ^= 1;
    rig.files.put(path, contents);
}

/// So many messages one by one, the first ones of them delivered.
async fn filled(rig: &Rig, messages: usize, delivered: usize) {
    let queues = rig.open();
    if delivered > 0 {
        store_sized(&queues, &[forever(&upstream())], 0..delivered, 100).await.unwrap();
        deliver_all(&queues, &upstream().endpoint).await;
    }
    for number in delivered..messages {
        store_sized(&queues, &[forever(&upstream())], number..number + 1, 30_000).await.unwrap();
    }
    drop(queues);
}

#[tokio::test]
async fn a_damaged_log_is_kept_another_begun_and_what_is_intact_delivered_once_the_loss_is_accepted() {
    let mut rig = Rig::new();
    filled(&rig, 12, 3).await;
    let damaged = segments(&rig, "log")[1].clone();
    let before = rig.files.contents(&damaged).unwrap();
    // In the middle of the second group of the segment.
    flip(&rig, &damaged, 52 + 30_200 + 15_000);
    let queues = rig.open();
    let [told] = queues.damage() else { panic!("{:?}", queues.damage()) };
    assert!(told.contains("is damaged at byte") && told.contains("/queues/damaged/1"), "{told}");
    assert!(told.contains("--accept-data-loss"), "{told}");
    assert_eq!(deliver_all(&queues, &upstream().endpoint).await, Vec::<usize>::new());
    store_sized(&queues, &[forever(&upstream())], 100..102, 10).await.unwrap();
    drop(queues);
    assert_eq!(rig.open().damage(), [] as [&str; 0], "told once");
    rig.accept_loss = true;
    let queues = rig.open();
    assert!(queues.damage().iter().any(|told| told.contains(", 1 records from ")), "{:?}", queues.damage());
    let delivered = deliver_all(&queues, &upstream().endpoint).await;
    let lost: Vec<_> = (3..12).filter(|number| !delivered.contains(number)).collect();
    assert_eq!(lost.len(), 1, "{delivered:?}");
    let expected: Vec<_> = (100..102).chain((3..12).filter(|number| !lost.contains(number))).collect();
    assert_eq!(delivered, expected, "what was delivered before is not delivered again");
    drop(queues);
    assert_eq!(rig.open().damage(), [] as [&str; 0], "salvaged once");
    let kept = Path::new(DIR).join("damaged/1.salvaged/log").join(damaged.file_name().unwrap());
    assert_eq!(rig.files.contents(&kept).unwrap().len(), before.len());
}

#[tokio::test]
async fn a_missing_segment_is_told_and_the_rest_salvaged_at_the_same_start() {
    let mut rig = Rig::new();
    filled(&rig, 20, 0).await;
    rig.files.take(&segments(&rig, "log")[1]).unwrap();
    rig.accept_loss = true;
    let queues = rig.open();
    assert_eq!(queues.damage().len(), 3, "{:?}", queues.damage());
    let delivered = deliver_all(&queues, &upstream().endpoint).await;
    assert!(delivered.len() > 10 && delivered.is_sorted() && delivered.len() < 20, "{delivered:?}");
    assert!(queues.bytes() <= BYTES_MAX);
}

#[tokio::test]
async fn damage_to_what_was_set_aside_or_to_the_positions_ends_nothing_else() {
    let mut rig = Rig::new();
    let away = id(module("away", "in"), 0);
    let queues = rig.open();
    store_sized(&queues, &[forever(&away)], 0..10, 10).await.unwrap();
    queues.move_some(&away, &mut None).unwrap();
    store_sized(&queues, &[forever(&upstream()), forever(&away)], 10..20, 10).await.unwrap();
    assert!(lock(&queues.state).asides.contains_key(&away));
    drop(queues);
    let aside = segments(&rig, "aside")[0].clone();
    // Of one acknowledged group nobody can tell whether it was finished: its header is enough.
    flip(&rig, &aside, 20);
    flip(&rig, &Path::new(DIR).join(POSITIONS), 3);
    rig.accept_loss = true;
    let queues: Queues = rig.open();
    assert!(queues.damage().iter().any(|told| told.contains("damaged/1")), "{:?}", queues.damage());
    assert!(queues.damage().iter().any(|told| told.contains("damaged/2")), "{:?}", queues.damage());
    assert_eq!(deliver_all(&queues, &upstream().endpoint).await, (10..20).collect::<Vec<_>>());
    let mut of_away = deliver_all(&queues, &away.endpoint).await;
    // Those that were not yet freed from the log are in both.
    of_away.sort_unstable();
    of_away.dedup();
    assert_eq!(of_away, (0..20).collect::<Vec<_>>(), "{:?}", queues.damage());
}

#[tokio::test]
async fn positions_that_cannot_be_read_are_told_before_anything_comes_twice() {
    let mut rig = Rig::new();
    filled(&rig, 12, 3).await;
    flip(&rig, &Path::new(DIR).join(POSITIONS), 3);
    let queues = rig.open();
    let [told] = queues.damage() else { panic!("{:?}", queues.damage()) };
    assert!(told.contains("damaged/1") && told.contains("may come twice"), "{told}");
    assert_eq!(deliver_all(&queues, &upstream().endpoint).await, (0..12).collect::<Vec<_>>());
    drop(queues);

    // Those of what was set aside.
    let second = segments(&rig, "log").pop().unwrap();
    flip(&rig, &second, 20);
    drop(rig.open());
    let positions = Path::new(DIR).join("damaged/2").join(POSITIONS);
    flip(&rig, &positions, 3);
    rig.accept_loss = true;
    let queues = rig.open();
    let told = queues.damage().join(" | ");
    assert!(told.contains("damaged/2 had been delivered is not known") && told.contains("wait again"), "{told}");
    let again = deliver_all(&queues, &upstream().endpoint).await;
    assert_eq!(again, [11], "what was still there of the delivered ones");
    drop(queues);

    // What a later version wrote is no damage: it is left alone, and nothing is delivered by guessing.
    let third = segments(&rig, "log").pop().unwrap();
    flip(&rig, &third, 20);
    rig.accept_loss = false;
    drop(rig.open());
    let positions = Path::new(DIR).join("damaged/3").join(POSITIONS);
    rig.files.put(&positions, b"tidegate-checkpoints 2\ncrc32 85052055\n".to_vec());
    rig.accept_loss = true;
    let queues = rig.open();
    let told = queues.damage().join(" | ");
    assert!(told.contains("damaged/3 cannot be read") && told.contains("version 2"), "{told}");
    assert_eq!(deliver_all(&queues, &upstream().endpoint).await, Vec::<usize>::new());
    assert!(rig.files.contents(&positions).is_some(), "it stays");
}
