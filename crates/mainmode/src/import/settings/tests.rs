use std::fs;

use super::*;

fn section(text: &str) -> Section {
    read_text(Path::new("a.conf"), text).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

fn why(text: &str) -> String {
    let error = read_text(Path::new("a.conf"), text).err().expect("refused");
    error.to_string()
}

#[test]
fn values_are_words_and_quoted_texts_until_the_line_ends() {
    let text = "a = b\n s { c = d   e # f\n g = \"h  # } i\" j\n k =\n l = m }\n\
                n=\"\\\"o\\\\ \\n\\t p\\\n q\"\r\n # r = s\nt{u=v:w.x,y=z}\n";
    let root = section(text);
    assert_eq!(root.values["a"].text.as_str(), "b");
    assert_eq!(root.values["n"].text.as_str(), "\"o\\ \n\t p q");
    let s = &root.sections["s"];
    for (key, value, line) in [
        ("c", "d e", 2),
        ("g", "h  # } i j", 3),
        ("k", "", 4),
        ("l", "m", 5),
    ] {
        assert_eq!(s.values[key].text.as_str(), value, "{key}");
        assert_eq!(s.values[key].place.line, line, "{key}");
    }
    assert_eq!(root.sections["t"].values["u"].text.as_str(), "v:w.x,y=z");
    assert!(!root.values.contains_key("r"));
}

#[test]
fn sections_of_one_name_are_one_and_the_last_value_counts() {
    let root = section("a { b = 1\n c = 1 }\na { b = 2\n d { } }\ninclude = x");
    let a = &root.sections["a"];
    assert_eq!(
        (a.values["b"].text.as_str(), a.values["c"].text.as_str()),
        ("2", "1")
    );
    assert!(a.sections.contains_key("d"));
    // A key can be called so.
    assert!(root.values.contains_key("include"));
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_without_values() {
    for (text, said) in [
        (
            "a {\n b = 1\n",
            "a.conf:1: error: this section has no } at its end",
        ),
        ("a = 1\n}", "a.conf:2: error: this } ends no section"),
        (
            "a\n\nb = 1",
            "a.conf:1: error: behind \"a\" stands 'b'; a key has = behind it, a section has {",
        ),
        ("a.b = 1", "a.conf:1: error: behind \"a\" stands '.'"),
        (
            "a = \"secret",
            "a.conf:1: error: this text has no \" at its end",
        ),
        (
            "\"a\" = 1",
            "a.conf:1: error: '\"' stands where a key or a section begins",
        ),
        (
            "a : { }",
            "a.conf:1: error: behind : stand names of sections",
        ),
        (
            "a : b",
            "a.conf:1: error: the end of the file stands behind the sections",
        ),
        (
            "a : .b { }",
            "a.conf:1: error: behind : stand names of sections",
        ),
    ] {
        let why = why(text);
        assert!(why.starts_with(said), "{why}");
        assert!(!why.contains("secret"));
    }
    assert!(why(&"a {".repeat(MAX_DEPTH + 1)).contains("deep"));
    let many: Vec<String> = (0..=MAX_SETTINGS).map(|n| format!("k{n}=")).collect();
    assert!(why(&many.join("\n")).contains("more than"));
}

#[test]
fn files_are_included_where_the_include_stands() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).expect("written");
    };
    write(
        "main.conf",
        "a { include conf.d/*.conf\n x = last }\ninclude gone.conf\ninclude none/*.conf\n",
    );
    write("conf.d/1.conf", "x = 1\ny = 1\ninclude \"../more here\"");
    write("conf.d/2.conf", "y = 2\n");
    write("conf.d/.hidden.conf", "y = hidden\n");
    write("more here", "z = deep");
    let path = folder.path().join("main.conf");
    let (root, missing) = read(&path).unwrap_or_else(|why| panic!("{why}"));
    let a = &root.sections["a"];
    for (key, value) in [("x", "last"), ("y", "2"), ("z", "deep")] {
        assert_eq!(a.values[key].text.as_str(), value, "{key}");
    }
    assert!(a.values["z"].place.file.ends_with("more here"));
    let missing: Vec<(&str, usize)> = missing
        .iter()
        .map(|one| (one.pattern.as_str(), one.place.line))
        .collect();
    assert_eq!(missing, [("gone.conf", 3)]);
    for (text, said) in [
        ("include main.conf", "in a circle"),
        ("include **/x", "no name of files"),
        ("include conf.d", "is no file"),
    ] {
        write("main.conf", text);
        let why = read(&path).err().expect("refused").to_string();
        assert!(why.contains(said), "{why}");
    }
    let why = read(&folder.path().join("absent")).err().expect("refused");
    assert!(why.to_string().contains("cannot be read"), "{why}");
}
