import pytest

from convoy.origins.names import bad_name, hidden_folder, is_hidden, printable


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._1.jpg", "Thumbs.db", "thumbs.DB", "desktop.ini", "__MACOSX", ".git", ".cache"],
)
def test_what_systems_leave_is_hidden(name: str) -> None:
    assert is_hidden(name)
    assert hidden_folder(f"a/{name}/b/{name}") == f"a/{name}"


@pytest.mark.parametrize("name", ["1.jpg", "_1.jpg", "macosx", "git", "Thumbs.db.jpg"])
def test_other_names_are_not(name: str) -> None:
    assert not is_hidden(name)
    assert hidden_folder(f"a/{name}/b") is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\x0ab"),
        ("a\0b", r"a\x00b"),
        ("a\x1b[0m", r"a\x1b[0m"),
        ("a\u2028b", r"a\x2028b"),
        ("caf\udce9", r"caf\xe9"),
        ("a\x85b", r"a\x85b"),
    ],
)
def test_harmful_characters_are_found_and_shown(name: str, shown: str) -> None:
    found = bad_name(f"cat/{name}.jpg")

    assert found is not None
    assert (found.rule, found.path) == ("bad-name", f"cat/{shown}.jpg")
    assert printable(name) == shown


def test_a_name_longer_than_file_systems_take_is_found() -> None:
    assert bad_name("é" * 127 + ".") is None
    assert bad_name("cat/" + "é" * 128) is not None


@pytest.mark.parametrize("name", ["猫/写真 1.jpg", "ملف.jpg", "a'b\"c;d.jpg", "🐈.jpg"])
def test_names_of_all_languages_are_fine(name: str) -> None:
    assert bad_name(name) is None
