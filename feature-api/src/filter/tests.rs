//! Tests: which items a filter matches, why a text is not a filter, and the limits.

use super::*;

mod random;

const FIELDS: [(&str, FieldType<'_>); 7] = [
    ("owner", FieldType::Text),
    ("state", FieldType::Enum(&["ACTIVE", "ARCHIVED"])),
    ("permanent", FieldType::Flag),
    ("create_time", FieldType::Time),
    ("tags", FieldType::Texts),
    ("labels", FieldType::Texts),
    ("labels.*", FieldType::Text),
];

const NOON: i64 = 1_767_268_800_000_000_000; // 2026-01-01T12:00:00Z

/// The fields of three items. `c` has nothing but its owner, which is empty.
fn field(item: char, name: &str) -> Field<'static> {
    match (item, name) {
        ('a', "owner") => Field::Text("Team Login"),
        ('a', "state") => Field::Text("ACTIVE"),
        ('a', "permanent") => Field::Flag(true),
        ('a', "create_time") => Field::Time(Timestamp::from_unix_nanos(NOON)),
        ('a', "tags") => Field::Texts(vec!["x", "y*"]),
        ('a', "labels") => Field::Texts(vec!["team", "app.kubernetes.io/name"]),
        ('a', "labels.team") => Field::Text("login"),
        ('a', "labels.app.kubernetes.io/name") => Field::Text("web"),
        ('b', "owner") => Field::Text("say \"hi\" \\ straße"),
        ('b', "state") => Field::Text("ARCHIVED"),
        ('b', "permanent") => Field::Flag(false),
        ('b', "create_time") => Field::Time(Timestamp::from_unix_nanos(NOON + 1)),
        ('b', "tags") => Field::Texts(vec!["AND", "x y"]),
        ('b', "labels") => Field::Texts(vec!["team"]),
        ('b', "labels.team") => Field::Text(""),
        ('c', "owner") => Field::Text(""),
        ('c', "tags") => Field::Texts(vec![]),
        _ => Field::Absent,
    }
}

fn parse(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(text, &FIELDS)
}

fn matched(filter: &Filter) -> String {
    "abc".chars().filter(|item| filter.matches(|name| field(*item, name))).collect()
}

#[test]
fn filters_match_items() {
    #[rustfmt::skip]
    let table = [
        // (filter, items)
        ("", "abc"),
        (" \t\n", "abc"),
        // Texts.
        ("owner = \"Team Login\"", "a"),
        ("owner=\"team login\"", ""),
        ("owner != \"Team Login\"", "bc"),
        ("owner = \"\"", "c"),
        ("owner = Team*", "a"),
        ("owner = \"Team L*\"", "a"),
        ("owner != Team*", "bc"),
        ("owner = *", "abc"),
        ("owner = \"say \\\"hi\\\" \\\\ straße\"", "b"),
        ("owner < b", "ac"),
        ("owner <= \"Team Login\"", "ac"),
        ("owner > \"Team Login\"", "b"),
        ("owner >= \"Team Login\"", "ab"),
        ("owner:LOGIN", "a"),
        ("owner:\"m L\"", "a"),
        ("owner:STRAßE", "b"),
        ("owner:*", "ab"),
        ("owner:\"*\"", "ab"),
        ("owner:\"\\*\"", ""),
        ("owner:\"\"", "abc"),
        // Names of an enum.
        ("state = ACTIVE", "a"),
        ("state:ACTIVE", "a"),
        ("state != \"ACTIVE\"", "bc"),
        ("state:*", "ab"),
        // Flags.
        ("permanent = true", "a"),
        ("permanent:false", "b"),
        ("permanent != true", "bc"),
        ("permanent:*", "ab"),
        // Times.
        ("create_time = 2026-01-01T12:00:00Z", "a"),
        ("create_time:2026-01-01T13:00:00+01:00", "a"),
        ("create_time != \"2026-01-01T12:00:00Z\"", "bc"),
        ("create_time > 2026-01-01T12:00:00Z", "b"),
        ("create_time >= 2026-01-01T12:00:00.000000001Z", "b"),
        ("create_time < 2026-01-01T12:00:00.000000001Z", "a"),
        ("create_time <= 2026-01-02", "ab"),
        ("create_time > 2026-01-01", "ab"),
        ("create_time < 9999-12-31T23:59:59Z", "ab"),
        ("create_time < 0001-01-01T00:00:00Z", ""),
        ("create_time:*", "ab"),
        // Lists, and keys of maps.
        ("tags:x", "a"),
        ("tags:X", ""),
        ("tags:\"y\\*\"", "a"),
        ("tags:\"AND\"", "b"),
        ("tags:\"x y\"", "b"),
        ("tags:*", "ab"),
        ("-tags:*", "c"),
        ("labels:team", "ab"),
        ("labels:app.kubernetes.io/name", "a"),
        ("labels.team:*", "a"),
        ("labels.team:login", "a"),
        ("labels.team:log", ""),
        ("labels.team:log*", "a"),
        ("labels.team:Login", ""),
        ("labels.team = \"\"", "b"),
        ("labels.team != login", "bc"),
        ("labels.team < m", "ab"),
        ("labels.app.kubernetes.io/name=web", "a"),
        ("labels.OR:x", ""),
        // Joined. OR binds tighter than AND.
        ("state=ACTIVE AND permanent=true", "a"),
        ("state=ACTIVE permanent=false", ""),
        ("state=ACTIVE OR permanent=false", "ab"),
        ("permanent=true AND state=ACTIVE OR owner=\"\"", "a"),
        ("state=ACTIVE OR owner=\"\" AND permanent=true", "a"),
        ("state=ACTIVE OR owner=\"\" permanent=true", "a"),
        ("permanent=true state=ACTIVE OR owner=\"\"", "a"),
        ("(permanent=true AND state=ACTIVE) OR owner=\"\"", "ac"),
        ("state=ACTIVE OR state=ARCHIVED OR owner=\"\"", "abc"),
        ("((state=ACTIVE)(permanent=true))", "a"),
        ("( state = ACTIVE )AND( permanent = true )", "a"),
        ("state=ACTIVE\nAND\tpermanent=true", "a"),
        // Negated.
        ("NOT state=ACTIVE", "bc"),
        ("-state=ACTIVE", "bc"),
        ("NOT(state=ACTIVE OR owner=\"\")", "b"),
        ("-(state=ACTIVE OR owner=\"\")", "b"),
        ("NOT state != ACTIVE", "a"),
        ("NOT NOT state=ACTIVE", "a"),
        ("NOT permanent=true permanent=false", "b"),
        ("NOT state=ACTIVE OR permanent=true", "abc"),
        ("owner:* -permanent=true", "b"),
        ("NOT create_time > 2026-01-01", "c"),
    ];
    for (text, items) in table {
        assert_eq!(parse(text).as_ref().map(matched), Ok(items.to_owned()), "{text}");
    }
}

#[test]
fn texts_that_are_not_a_filter_are_refused() {
    let (fields, comparison, value) = (
        "owner, state, permanent, create_time, tags, labels, labels.* can be used",
        "a comparison such as field=value must stand here",
        "a value must stand here: a word of letters, digits and _-./:+@*, or a text in double quotes",
    );
    let operator = "a field, one of =, !=, <, <=, >, >=, :, and a value can be used; a word alone is not \
                    searched for";
    let star = "it can be the end of the value of = and !=, or the whole value of :; as a character of the value it is \
                \\* in double quotes";
    let time = "a time of RFC 3339 can be used, such as 2026-01-31T12:00:00Z";
    let long = "x".repeat(41);
    #[rustfmt::skip]
    let table = [
        // (text, error)
        ("ownr=x", format!("has an unknown field 'ownr' at position 0: {fields}")),
        ("owner=x ownr=x", format!("has an unknown field 'ownr' at position 8: {fields}")),
        ("labels.=x", format!("has an unknown field 'labels.' at position 0: {fields}")),
        ("owner.x=x", format!("has an unknown field 'owner.x' at position 0: {fields}")),
        (&format!("{long}=x"), format!("has an unknown field '{}…' at position 0: {fields}", &long[1..])),
        ("login", format!("has 'login' without an operator at position 0: {operator}")),
        ("owner=x login", format!("has 'login' without an operator at position 8: {operator}")),
        ("owner ~ x", format!("has 'owner' without an operator at position 0: {operator}")),
        ("owner(x)", format!("has 'owner' without an operator at position 0: {operator}")),
        ("\"login\"", format!("has '\"' at position 0: {comparison}")),
        ("= x", format!("has '=' at position 0: {comparison}")),
        ("()", format!("has ')' at position 1: {comparison}")),
        ("ß\u{7}", format!("has 'ß' without an operator at position 0: {operator}")),
        ("owner=ß \u{7}", format!("has '\\u{{7}}' at position 9: {comparison}")),
        ("AND owner=x", format!("has 'AND' at position 0: {comparison}")),
        ("owner=x AND OR owner=x", format!("has 'OR' at position 12: {comparison}")),
        ("owner=x OR AND=x", format!("has 'AND' at position 11: {comparison}")),
        ("owner=x AND", format!("ends at position 11: {comparison}")),
        ("owner=x OR ", format!("ends at position 11: {comparison}")),
        ("NOT", format!("ends at position 3: {comparison}")),
        ("owner=x and state=ACTIVE", format!("has 'and' without an operator at position 8: {operator}")),
        ("(owner=x", "has a '(' at position 0: a ')' must stand behind it".to_owned()),
        ("owner=x (owner=x", "has a '(' at position 8: a ')' must stand behind it".to_owned()),
        ("owner=x) owner=x", "has ')' at position 7: a '(' must stand before it".to_owned()),
        ("owner=", format!("ends at position 6: {value}")),
        ("owner= AND state=ACTIVE", format!("has 'AND' at position 7: {value}")),
        ("owner==x", format!("has '=' at position 6: {value}")),
        ("owner='x'", format!("has ''' at position 6: {value}")),
        ("owner=(x OR y)", format!("has '(' at position 6: {value}")),
        ("owner=\"x", "has a '\"' at position 6: a second one must stand behind the text".to_owned()),
        ("owner=\"x\\n\"", "has a '\\' at position 8: \\\", \\\\, \\* can be used in double quotes".to_owned()),
        ("owner=*x", format!("has a '*' in the value '*x' at position 6: {star}")),
        ("owner=\"a*b*\"", format!("has a '*' in the value 'a*b*' at position 6: {star}")),
        ("owner:x*", format!("has a '*' in the value 'x*' at position 6: {star}")),
        ("owner>x*", format!("has a '*' in the value 'x*' at position 6: {star}")),
        ("tags:x*", format!("has a '*' in the value 'x*' at position 5: {star}")),
        ("state < 3", "compares 'state' with '<' at position 6: =, !=, : can be used".to_owned()),
        ("permanent >= true", "compares 'permanent' with '>=' at position 10: =, !=, : can be used".to_owned()),
        ("tags = x", "compares 'tags' with '=' at position 5: only : can be used".to_owned()),
        ("state = ACTIV", "has the value 'ACTIV' at position 8: ACTIVE, ARCHIVED can be used".to_owned()),
        ("state = A*", "has the value 'A*' at position 8: ACTIVE, ARCHIVED can be used".to_owned()),
        ("permanent = TRUE", "has the value 'TRUE' at position 12: true, false can be used".to_owned()),
        ("create_time > nonsense", format!("has the value 'nonsense' at position 14: {time}")),
        ("create_time = *", format!("has the value '*' at position 14: {time}")),
        ("create_time > 2026-02-30T00:00:00Z", format!("has the value '2026-02-30T00:00:00Z' at position 14: {time}")),
    ];
    for (text, error) in table {
        assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
    }
}

#[test]
fn limits_are_inclusive() {
    let comparisons = |count| vec!["owner=x"; count].join(" ");
    let in_parentheses = |depth| format!("{}owner=x{}", "(".repeat(depth), ")".repeat(depth));
    let negated = |depth| format!("{}owner=x", "-".repeat(depth));
    let mixed = |depth: usize| format!("{}owner=x{}", "NOT (".repeat(depth / 2), ")".repeat(depth / 2));
    let long = |bytes| format!("owner={}", "x".repeat(bytes - "owner=".len()));
    let deep = |position| {
        format!("is too deep at position {position}: at most 8 parentheses and negations can stand within each other")
    };
    #[rustfmt::skip]
    let table = [
        // (the most, one more, the error)
        (comparisons(32), comparisons(33), "has too many comparisons at position 256: at most 32 can be used".to_owned()),
        (in_parentheses(8), in_parentheses(9), deep(8)),
        (negated(8), negated(9), deep(8)),
        (mixed(8), mixed(10), deep(20)),
        (long(1_024), long(1_025), "is too long at position 1024: at most 1024 bytes can be used".to_owned()),
    ];
    for (most, more, error) in table {
        assert!(parse(&most).is_ok(), "{most}");
        assert_eq!(parse(&more).unwrap_err().to_string(), error, "{more}");
    }
    assert!(parse(&"(owner=x) ".repeat(32)).is_ok());
}

#[test]
fn filters_know_the_fields_that_they_use() {
    let filter = parse("owner=x AND (labels.team:x OR NOT state!=ACTIVE)").unwrap();
    let used = ["owner", "state", "labels.team", "labels", "tags", "ACTIVE"].map(|name| filter.uses(name));
    assert_eq!(used, [true, true, true, false, false, false]);
}

#[test]
fn values_of_another_type_count_as_absent() {
    let (text, flag, list) = (Field::Text("true"), Field::Flag(true), Field::Texts(vec!["true"]));
    let table = [
        // (filter, value, does it match?)
        ("owner = true", &text, true),
        ("owner = true", &flag, false),
        ("owner < x", &flag, false),
        ("owner = t*", &list, false),
        ("owner:true", &list, false),
        ("owner != true", &flag, true),
        ("permanent = true", &text, false),
        ("create_time > 2026-01-01", &text, false),
        ("tags:true", &text, false),
        ("tags:true", &list, true),
    ];
    for (filter, value, does) in table {
        assert_eq!(parse(filter).unwrap().matches(|_| value.clone()), does, "{filter} for {value:?}");
    }
}
