//! What is counted beside who owes what: memory, and the ends of claims whose timers must go.

use super::*;

const ROOM: usize = 10;
const ONE: Seq = Seq(1);

fn party(conn: u64, uuid: &ClientUuid, sole: bool) -> Party<'_> {
    let conn = ConnId(conn);
    Party { conn, uuid, sole }
}

fn until(n: u64) -> Mono {
    Mono::from_micros(n)
}

/// A page reloads again and again and acknowledges each time: its browser is noted once, and who has no name never.
#[test]
fn a_browser_that_acknowledges_often_takes_memory_once() {
    let (a, nobody) = (ClientUuid::parse("a"), ClientUuid::parse(""));
    let mut debts = Debts::new();
    debts.owe(ONE, party(9, &ClientUuid::parse("z"), false));
    let before = debts.bytes();
    assert!(!debts.acknowledge(ONE, party(1, &nobody, true)));
    assert_eq!(debts.bytes(), before);
    for conn in 1..5 {
        assert!(!debts.acknowledge(ONE, party(conn, &a, false)));
        assert_eq!(debts.bytes(), before + cost::WITNESS);
    }
    for conn in 5..9 {
        assert!(!debts.acknowledge(ONE, party(conn, &a, true)));
        assert_eq!(debts.bytes(), before + 2 * cost::WITNESS);
    }
    debts.check_memory();
    assert!(debts.acknowledge(ONE, party(9, &ClientUuid::parse("z"), false)));
    assert!(debts.is_empty());
    assert_eq!(debts.bytes(), 0);
}

/// 5.1: at most so many vanished devices are waited for; the end of the oldest is told, so that nothing fires for it.
#[test]
fn the_oldest_claim_ends_when_one_too_many_vanishes() {
    let names: Vec<ClientUuid> = ["a", "b", "c"].map(ClientUuid::parse).into();
    let mut debts = Debts::new();
    for (conn, uuid) in (1..).zip(&names) {
        debts.owe(ONE, party(conn, uuid, false));
        let paid = debts.vanished(GoneId(conn), ConnId(conn), until(conn), [ONE].into_iter(), 2);
        assert_eq!(paid, []);
    }
    assert_eq!(debts.take_ended(), [(GoneId(1), until(1))]);
    assert_eq!(debts.take_ended(), []);
    assert!(!debts.has_claim(GoneId(1)) && debts.has_claim(GoneId(2)));
    debts.check_memory();
}

/// A claim that is taken over has ended: its timer is told.
#[test]
fn a_claim_that_is_taken_over_ends() {
    let a = ClientUuid::parse("a");
    let mut debts = Debts::new();
    debts.owe(ONE, party(1, &a, false));
    debts.vanished(GoneId(1), ConnId(1), until(5), [ONE].into_iter(), ROOM);
    assert!(!debts.is_empty());
    debts.redelivered(ONE, party(2, &a, false));
    assert_eq!(debts.take_ended(), [(GoneId(1), until(5))]);
    debts.check_memory();
}

/// What a vanished device claims takes memory as long as it does, with its timer.
#[test]
fn claims_and_witnesses_give_their_memory_back() {
    let (a, b) = (ClientUuid::parse("a"), ClientUuid::parse("b"));
    let mut debts = Debts::new();
    debts.owe(ONE, party(1, &a, false));
    debts.owe(ONE, party(2, &b, false));
    debts.acknowledge(ONE, party(2, &b, false));
    debts.vanished(GoneId(1), ConnId(1), until(5), [ONE].into_iter(), ROOM);
    let parts = [cost::DEBT, cost::GONE, cost::TIMER, cost::CLAIM, cost::WITNESS];
    assert_eq!(debts.bytes(), parts.iter().sum::<u64>());
    debts.forget(ONE);
    debts.check_memory();
    assert_eq!(debts.bytes(), 0);
}

/// protocol-v5.md 4: an acknowledgement for a whole browser ends what former connections of that kind and that browser
/// claim, and nobody else's claim.
#[test]
fn an_acknowledgement_for_a_browser_ends_its_claims_only() {
    let (a, b) = (ClientUuid::parse("a"), ClientUuid::parse("b"));
    let mut debts = Debts::new();
    for (conn, uuid, sole) in [(1, &a, true), (2, &a, false), (3, &b, true)] {
        debts.owe(ONE, party(conn, uuid, sole));
        debts.vanished(GoneId(conn), ConnId(conn), until(conn), [ONE].into_iter(), ROOM);
    }
    debts.owe(ONE, party(4, &a, true));
    assert!(!debts.acknowledge(ONE, party(4, &a, true)));
    assert_eq!(
        [1, 2, 3].map(|id| debts.has_claim(GoneId(id))),
        [false, true, true]
    );
    debts.check_memory();
}
