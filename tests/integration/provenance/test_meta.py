"""Tags and key-values: what is kept of them, who may see and set them, and what queries find."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dais.data import commit_files, create_file_set, remove_file_set
from dais.data.hashing import digest_of
from dais.identity import Actor, authenticate, bootstrap, create_policy, create_token, create_user
from dais.kit.database import Database
from dais.kit.errors import DaisError, Forbidden, Invalid, NotFound, TooMany
from dais.provenance import (
    FILE,
    FILESET,
    Described,
    Kind,
    count_found,
    delete_meta,
    find,
    get_meta,
    set_values,
    sweep_meta,
    update_meta,
)
from dais.provenance.meta import finding, patterns
from dais.wire.lake import NewVersion
from dais.wire.meta import MAX_KEYS, Condition, Moment

MODELS = (("cnn", 0.91), ("cnn", 0.97), ("cnn", 0.97), ("rnn", 0.99), ("cnn", 0.5), ("mlp", 0.2))


@pytest.fixture
def ann(database: Database) -> Actor:
    """The administrator."""
    made = database.write_sync(bootstrap, "ann")
    assert made is not None
    actor: Actor = database.read_sync(authenticate, made.token.secret).actor
    return actor


@pytest.fixture
def models(database: Database, ann: Actor) -> None:
    """Six file sets m0 … m5 with a model and its accuracy."""
    for place, (model, accuracy) in enumerate(MODELS):
        add_set(database, ann, f"m{place}", model=model, accuracy=accuracy, step=place)


def user(database: Database, ann: Actor, name: str, *statements: str) -> Actor:
    """Somebody who may do these."""
    made = database.write_sync(create_user, ann, name)
    database.write_sync(create_policy, ann, "user", made.id, list(statements))
    token = database.write_sync(create_token, ann, user_id=made.id)
    actor: Actor = database.read_sync(authenticate, token.secret).actor
    return actor


def add_file(database: Database, actor: Actor, path: str, content: str = "") -> None:
    data = content.encode()
    version = NewVersion(path=path, digest=digest_of(data), size=len(data), executable=False)
    database.write_sync(commit_files, actor, None, [version])


def add_set(database: Database, actor: Actor, name: str, *tags: str, **values: Any) -> None:
    """A file set of one file of its own."""
    add_file(database, actor, f"/{name}.bin", name)
    database.write_sync(create_file_set, actor, name, [f"/{name}.bin"])
    database.write_sync(update_meta, actor, FILESET, name, tags=tags, values=values)


def found(database: Database, actor: Actor, *conditions: Condition, kind: Kind = FILESET, **rest: Any) -> list[str]:
    """The references of what is found."""
    return [one.ref for one in database.read_sync(find, actor, kind, conditions, **rest).items]


def described(database: Database, actor: Actor, ref: str, kind: Kind = FILESET) -> Described:
    (one,) = database.read_sync(get_meta, actor, kind, [ref])
    assert isinstance(one, Described)
    return one


def value(key: str, wanted: Any, op: Any = "=") -> Condition:
    return Condition(key=key, op=op, value=wanted)


def test_values_of_every_type_come_back_as_they_were(database: Database, ann: Actor) -> None:
    at = Moment("2026-01-31T12:00:00.000000Z")
    add_set(database, ann, "a", "best", "cnn", text="a", whole=3, half=0.5, big=2**53, yes=True, no=False, at=at)
    one = described(database, ann, "a")
    assert one.values == {"text": "a", "whole": 3, "half": 0.5, "big": 2**53, "yes": True, "no": False, "at": at}
    assert [type(one.values[key]) for key in ("whole", "half", "yes")] == [int, float, bool]
    assert one.tags == ("best", "cnn")
    assert one.system["_id"] == "a:1"
    assert one.system["__type__"] == "fileset"
    assert (one.system["__version__"], one.system["__size__"], one.system["__creator_id__"]) == (1, 1, ann.id)
    assert (one.ref, one.created_by, one.account) == ("a:1", "ann", "local.ann")


def test_a_key_is_set_again_with_another_type_and_removed(database: Database, ann: Actor) -> None:
    add_set(database, ann, "a", "x", "y", model="cnn", depth=3)
    database.write_sync(update_meta, ann, FILESET, "a:1", values={"model": 7})
    assert described(database, ann, "a").values == {"model": 7, "depth": 3}
    gone = database.write_sync(delete_meta, ann, FILESET, "a", tags=["x", "unknown"], keys=["depth", "unknown"])
    assert (gone.tags, gone.keys) == (1, 1)
    one = described(database, ann, "a")
    assert (one.values, one.tags) == ({"model": 7}, ("y",))


def test_each_version_has_its_own(database: Database, ann: Actor) -> None:
    for content in ("1", "2"):
        add_file(database, ann, "/a.txt", content)
        database.write_sync(update_meta, ann, FILE, "/a.txt", values={"content": content})
    assert described(database, ann, "/a.txt:1", FILE).values == {"content": "1"}
    assert described(database, ann, "/a.txt", FILE).values == {"content": "2"}


@pytest.mark.parametrize(
    "values, tags, code",
    [
        ({"": 1}, (), "bad-key"),
        ({" a": 1}, (), "bad-key"),
        ({"a\n": 1}, (), "bad-key"),
        ({"é" * 65: 1}, (), "bad-key"),
        ({"__size__": 1}, (), "system-key"),
        ({"__mine__": 1}, (), "system-key"),
        ({"_id": 1}, (), "system-key"),
        ({"tags": "x"}, (), "system-key"),
        ({"a": math.nan}, (), "bad-value"),
        ({"a": math.inf}, (), "bad-value"),
        ({"a": 2**53 + 1}, (), "bad-value"),
        ({"a": "é" * 513}, (), "bad-value"),
        ({"a": "\0"}, (), "bad-value"),
        ({"a": "\ud800"}, (), "bad-value"),
        ({"a": Moment("yesterday")}, (), "bad-value"),
        ({}, ("",), "bad-tag"),
        ({}, ("a" * 129,), "bad-tag"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    database: Database, ann: Actor, values: dict[str, Any], tags: tuple[str, ...], code: str
) -> None:
    add_set(database, ann, "a")
    with pytest.raises(Invalid) as refused:
        database.write_sync(update_meta, ann, FILESET, "a", values=values, tags=tags)
    assert refused.value.code == code
    assert described(database, ann, "a").values == {}


def test_there_is_a_limit_to_keys_and_tags(database: Database, ann: Actor) -> None:
    add_set(database, ann, "a", **{f"k{number}": number for number in range(MAX_KEYS)})
    for more in ({"values": {"one more": 1}}, {"tags": [f"t{number}" for number in range(300)]}):
        with pytest.raises(TooMany, match="room for 256"):
            database.write_sync(update_meta, ann, FILESET, "a", **more)
    assert len(described(database, ann, "a").values) == MAX_KEYS
    assert described(database, ann, "a").tags == ()


def test_unicode_has_one_form(database: Database, ann: Actor) -> None:
    decomposed = {"cafe\u0301": "re\u0301sume\u0301"}
    add_set(database, ann, "a", **decomposed)
    assert described(database, ann, "a").values == {"café": "résumé"}
    assert found(database, ann, value("cafe\u0301", "re\u0301sume\u0301")) == ["a:1"]


@pytest.mark.usefixtures("models")
class TestQueries:
    """What is found among the six."""

    def test_the_best_cnn(self, database: Database, ann: Actor) -> None:
        best = (value("model", "cnn"), Condition(key="accuracy", op="max"))
        assert found(database, ann, *best) == ["m2:1", "m1:1"]
        assert found(database, ann, *best, Condition(key="step", op="min")) == ["m1:1"]
        assert found(database, ann, Condition(key="accuracy", op="max")) == ["m3:1"]
        assert found(database, ann, value("model", "none"), Condition(key="accuracy", op="max")) == []
        assert found(database, ann, Condition(key="unknown", op="max")) == []
        assert found(database, ann, Condition(key="model", op="min"), Condition(key="step", op="max")) == ["m4:1"]

    def test_a_range_leaves_out_its_start_and_has_its_end(self, database: Database, ann: Actor) -> None:
        within = Condition(key="accuracy", op="range", start=0.5, end=0.97)
        assert found(database, ann, within, order="accuracy") == ["m0:1", "m1:1", "m2:1"]
        assert found(database, ann, Condition(key="accuracy", op="range", start=0.91), order="step") == [
            "m1:1",
            "m2:1",
            "m3:1",
        ]
        assert found(database, ann, Condition(key="model", op="range", start="cnn", end="rnn"), order="step") == [
            "m3:1",
            "m5:1",
        ]

    @pytest.mark.parametrize(
        "op, numbers",
        [("=", [1]), ("!=", [0, 2, 3, 4, 5]), ("<", [0]), ("<=", [0, 1]), (">", [2, 3, 4, 5]), (">=", [1, 2, 3, 4, 5])],
    )
    def test_comparisons(self, database: Database, ann: Actor, op: Any, numbers: list[int]) -> None:
        wanted = [f"m{number}:1" for number in numbers]
        assert found(database, ann, value("step", 1, op), order="step") == wanted
        assert found(database, ann, value("step", 1, op), order="-step") == wanted[::-1]
        assert sorted(found(database, ann, value("step", 1, op))) == wanted

    def test_one_of_several_conditions(self, database: Database, ann: Actor) -> None:
        either = Condition(any=(value("model", "rnn"), Condition(all=(value("model", "cnn"), value("step", 2, "<")))))
        assert found(database, ann, either, order="step") == ["m0:1", "m1:1", "m3:1"]
        assert found(database, ann, either, value("step", 0, ">"), order="step") == ["m1:1", "m3:1"]

    def test_what_is_there_and_what_is_not(self, database: Database, ann: Actor) -> None:
        database.write_sync(update_meta, ann, FILESET, "m3", values={"note": "x"}, tags=["seen"])
        assert found(database, ann, Condition(key="note", op="exists")) == ["m3:1"]
        without = found(database, ann, Condition(key="note", op="absent"), order="step")
        assert without == ["m0:1", "m1:1", "m2:1", "m4:1", "m5:1"]
        assert found(database, ann, value("", "seen", "tag")) == ["m3:1"]
        assert found(database, ann, value("tags", "seen")) == ["m3:1"]
        assert found(database, ann, value("tags", "seen", "!="), order="step") == without
        assert found(database, ann, value("tags", "^se", "~")) == ["m3:1"]

    def test_regular_expressions(self, database: Database, ann: Actor) -> None:
        assert found(database, ann, value("model", "^.nn$", "~"), order="step")[-1] == "m4:1"
        assert found(database, ann, value("model", "nn", "~"), value("model", "^r", "~")) == ["m3:1"]
        assert found(database, ann, value("__full_path__", "^m[12]$", "~"), order="step") == ["m1:1", "m2:1"]
        assert found(database, ann, value("accuracy", ".", "~")) == []

    def test_what_a_set_tells_of_itself(self, database: Database, ann: Actor) -> None:
        assert found(database, ann, value("_id", "m4:1")) == ["m4:1"]
        assert found(database, ann, value("__type__", "fileset"), order="-step", limit=1) == ["m5:1"]
        assert found(database, ann, value("__type__", "file")) == []
        assert found(database, ann, value("__creator_id__", "ann"), order="step", limit=1) == ["m0:1"]
        assert found(database, ann, value("__creator_id__", "nobody")) == []
        assert found(database, ann, value("__size__", 2, "=")) == sorted(
            found(database, ann, value("__files__", 1)), reverse=True
        )
        assert found(database, ann, value("__create_time__", Moment("1999-01-01T00:00:00Z"), "<")) == []
        assert len(found(database, ann, value("__create_time__", 946684800, ">"))) == len(MODELS)
        assert found(database, ann, order="__full_path__")[:2] == ["m0:1", "m1:1"]
        assert found(database, ann, Condition(key="__full_path__", op="max")) == ["m5:1"]

    @pytest.mark.parametrize("order", [None, "step", "-step", "accuracy", "__full_path__", "-__size__", "model"])
    def test_pages_miss_nothing_and_repeat_nothing(self, database: Database, ann: Actor, order: str | None) -> None:
        for conditions in ((), (value("model", "cnn"),), (value("accuracy", 0.3, ">"),)):
            whole = found(database, ann, *conditions, order=order)
            pages: list[str] = []
            cursor = None
            while True:
                page = database.read_sync(find, ann, FILESET, conditions, order=order, limit=2, cursor=cursor)
                pages += [one.ref for one in page.items]
                cursor = page.cursor
                if cursor is None:
                    break
            assert pages == whole
            assert len(whole) == database.read_sync(count_found, ann, FILESET, conditions)

    @pytest.mark.parametrize("steps", [(), (1,), (2, 4), (1000,)])
    @pytest.mark.parametrize("few, some", [(0, 0), (2, 0), (0, 1000), (1000, 0)])
    def test_every_way_finds_the_same(
        self,
        database: Database,
        ann: Actor,
        monkeypatch: pytest.MonkeyPatch,
        steps: tuple[int, ...],
        few: int,
        some: int,
    ) -> None:
        for name, chosen in (("STEPS", steps), ("FEW", few), ("SOME", some)):
            monkeypatch.setattr(finding, name, chosen)
        cnn = value("model", "cnn")
        assert found(database, ann, cnn, Condition(key="accuracy", op="max")) == ["m2:1", "m1:1"]
        assert found(database, ann, cnn, order="-step") == ["m4:1", "m2:1", "m1:1", "m0:1"]
        assert found(database, ann, cnn) == ["m4:1", "m2:1", "m1:1", "m0:1"]
        assert found(database, ann, cnn, value("accuracy", 0.95, ">"), order="step", limit=1) == ["m1:1"]
        assert database.read_sync(count_found, ann, FILESET, [cnn]) == 4

    @pytest.mark.parametrize(
        "condition, code",
        [
            (Condition(key="__sise__", value=1), "unknown-key"),
            (Condition(key="a"), "bad-condition"),
            (Condition(key="a", op="range"), "bad-condition"),
            (Condition(key="a", op="range", start=1, end="b"), "bad-condition"),
            (Condition(key="a", op="<", value=True), "bad-condition"),
            (Condition(key="__size__", value="large"), "bad-condition"),
            (Condition(key="a", op="~", value="("), "bad-pattern"),
            (Condition(key="a", op="~", value=r"(.)\1"), "bad-pattern"),
            (Condition(key="a", op="~", value="a{1000}{1000}"), "bad-pattern"),
            (Condition(key="a", op="~", value="a" * 501), "bad-pattern"),
            (Condition(any=(Condition(key="a", op="max"),)), "bad-condition"),
            (Condition(any=(Condition(key="a", value=1),) * 40), "bad-condition"),
            (Condition(key="a", value=math.nan), "bad-value"),
            (Condition(key="", value=1), "bad-key"),
        ],
    )
    def test_what_cannot_be_asked(self, database: Database, ann: Actor, condition: Condition, code: str) -> None:
        with pytest.raises(DaisError) as refused:
            found(database, ann, condition)
        assert refused.value.code == code

    def test_too_many_texts_for_an_expression(
        self, database: Database, ann: Actor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patterns, "MOST_TEXTS", 2)
        with pytest.raises(Invalid, match="too many different texts"):
            found(database, ann, value("model", "cnn", "~"))

    def test_an_expression_that_would_backtrack_for_ever(self, database: Database, ann: Actor) -> None:
        database.write_sync(update_meta, ann, FILESET, "m0", values={"long": "a" * 1000})
        assert found(database, ann, value("long", "^(a+)+$", "~")) == ["m0:1"]
        assert found(database, ann, value("long", "^(a|aa)+b$", "~")) == []

    def test_what_is_removed_is_found_no_more_and_swept(self, database: Database, ann: Actor) -> None:
        database.write_sync(update_meta, ann, FILESET, "m1", tags=["x"])
        database.write_sync(remove_file_set, ann, "m1")
        best = (value("model", "cnn"), Condition(key="accuracy", op="max"))
        assert found(database, ann, *best) == ["m2:1"]
        after: str | None = ""
        while after is not None:
            after = database.write_sync(sweep_meta, [FILE, FILESET], after, limit=3)
        with pytest.raises(NotFound):
            described(database, ann, "m1")
        add_set(database, ann, "m1", note=1)
        assert described(database, ann, "m1").values == {"note": 1}
        assert described(database, ann, "m2").values["model"] == "cnn"


@pytest.mark.usefixtures("models")
def test_only_what_may_be_seen_is_found(database: Database, ann: Actor) -> None:
    account = ann.account_id
    joan = user(
        database,
        ann,
        "joan",
        f"account:get@*:account:{account}",
        f"fileset:get@*:account:{account}:fileset:m0",
        f"fileset:set@*:account:{account}:fileset:m4",
    )
    for order in (None, "accuracy", "__full_path__"):
        assert found(database, joan, value("model", "cnn"), account=account, order=order) == ["m0:1"]
    assert found(database, joan, Condition(key="accuracy", op="max"), account=account) == ["m0:1"]
    assert database.read_sync(count_found, joan, FILESET, (), account=account) == 1
    assert found(database, joan, kind=FILE, account=account) == []
    with pytest.raises(NotFound):
        database.read_sync(get_meta, joan, FILESET, ["m1"], account=account)
    with pytest.raises(Forbidden):
        database.write_sync(update_meta, joan, FILESET, "m0", values={"a": 1}, account=account)
    with pytest.raises(NotFound):
        database.write_sync(delete_meta, joan, FILESET, "m1", keys=["model"], account=account)
    database.write_sync(update_meta, joan, FILESET, "m4", values={"a": 1}, account=account)
    assert described(database, ann, "m4").values["a"] == 1


def test_verbs_set_values_for_themselves(database: Database, ann: Actor) -> None:
    add_set(database, ann, "a")
    one = described(database, ann, "a")
    database.write_sync(set_values, "fileset", one.id, ann.account_id, {"loss": 0.25}, tags=["t"])
    again = described(database, ann, "a")
    assert (again.values, again.tags) == ({"loss": 0.25}, ("t",))
    with pytest.raises(Invalid):
        database.write_sync(set_values, "fileset", one.id, ann.account_id, {"__size__": 1})
