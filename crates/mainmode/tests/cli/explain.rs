use crate::place::Place;

#[test]
fn an_event_a_reason_and_a_cause_are_explained() {
    let place = Place::new("");
    let event = place.run(&["explain", "4653"]).good();
    assert!(
        event.starts_with("4653 ") && event.contains("FailureReason"),
        "{event}"
    );
    let reason = place.run(&["explain", "13801"]).good();
    assert!(
        reason.contains("IKE_AUTH_FAIL") && reason.contains("psk-mismatch"),
        "{reason}"
    );
    let cause = place.run(&["explain", "psk-mismatch"]).good();
    assert!(cause.contains("13801"), "{cause}");
    assert_eq!(
        place.run(&["explain", "4653", "--json"]).json()[0]["id"],
        4653
    );
    assert_eq!(
        place.run(&["explain", "13801", "--json"]).json()[0]["code"],
        13_801
    );
    let cause = &place.run(&["explain", "psk-mismatch", "--json"]).json()[0];
    assert_eq!(
        (&cause["kind"], &cause["code"]),
        (&"cause".into(), &13_801.into())
    );
    let word = place.run(&["explain", "%%8222"]).good();
    assert!(
        word.starts_with("%%8222 IKEv1") && word.contains("KeyModName"),
        "{word}"
    );
    let word = &place.run(&["explain", "%%8222", "--json"]).json()[0];
    assert_eq!(
        (&word["kind"], &word["words"], &word["fields"][0]["name"]),
        (&"parameter".into(), &"IKEv1".into(), &"KeyModName".into())
    );
}

#[test]
fn every_cause_and_every_reason_is_explained() {
    for cause in audit::Cause::ALL {
        assert!(audit::explain(cause.token()).is_some(), "{}", cause.token());
    }
    let place = Place::new("");
    let said = place.run(&["explain", "no-such\u{1b}[2J"]).failed(1);
    assert!(!said.contains('\u{1b}'), "{said:?}");
}
