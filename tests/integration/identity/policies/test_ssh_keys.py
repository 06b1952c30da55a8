"""Users' public keys for SSH: whose they are, who may add and remove them, and when they are worth nothing."""

from __future__ import annotations

import base64

import pytest

from dais.identity import (
    add_ssh_key,
    disable_user,
    enable_user,
    find_ssh_key,
    list_ssh_keys,
    remove_ssh_key,
    touch_ssh_key,
)
from dais.identity.ssh_keys.commands import MOST_SSH_KEYS
from dais.kit.errors import Conflict, Forbidden, NotFound, TooMany, Unauthenticated
from tests.support.people import People
from tests.support.ssh import public_key


def test_a_key_says_who_comes_until_it_is_removed(people: People) -> None:
    ann = people.user("ann")
    key = people.db.write_sync(add_ssh_key, ann, public_key(1))
    assert key.label == "ann@laptop-1"
    blob = base64.b64decode(key.public.split()[1])
    holder = people.db.read_sync(find_ssh_key, blob=blob)
    assert (holder.key_id, holder.actor.id, holder.actor.administrator) == (key.id, ann.id, False)
    people.db.write_sync(touch_ssh_key, key.id)
    assert people.db.read_sync(list_ssh_keys, ann)[0].last_used_at is not None
    people.db.write_sync(remove_ssh_key, ann, key.fingerprint)
    assert people.db.read_sync(list_ssh_keys, ann) == []
    for shown in ({"blob": blob}, {"key_id": key.id}):
        with pytest.raises(Unauthenticated, match="does not know"):
            people.db.read_sync(find_ssh_key, **shown)


def test_a_key_of_a_user_who_is_disabled_lets_nobody_in(people: People) -> None:
    ann = people.user("ann")
    key = people.db.write_sync(add_ssh_key, ann, public_key(1))
    people.db.write_sync(disable_user, people.root, ann.id)
    for shown in ({"blob": base64.b64decode(key.public.split()[1])}, {"key_id": key.id}):
        with pytest.raises(Unauthenticated, match="disabled") as refusal:
            people.db.read_sync(find_ssh_key, **shown)
        assert refusal.value.code == "user-disabled"
    people.db.write_sync(enable_user, people.root, ann.id)
    assert people.db.read_sync(find_ssh_key, key_id=key.id).actor.id == ann.id


def test_a_key_belongs_to_one_user(people: People) -> None:
    ann, bob = people.user("ann"), people.user("bob")
    people.db.write_sync(add_ssh_key, ann, public_key(1))
    for who in (ann, bob):
        with pytest.raises(Conflict, match="belongs to one user") as refusal:
            people.db.write_sync(add_ssh_key, who, public_key(1))
        assert refusal.value.code == "ssh-key-exists"


def test_nobody_adds_or_removes_keys_of_others_or_beyond_what_they_may(people: People) -> None:
    ann, bob = people.user("ann"), people.user("bob")
    key = people.db.write_sync(add_ssh_key, ann, public_key(1))
    with pytest.raises(Forbidden):
        people.db.write_sync(add_ssh_key, bob, public_key(2), user_id=ann.id)
    with pytest.raises(Forbidden):
        people.db.read_sync(list_ssh_keys, bob, ann.id)
    with pytest.raises(NotFound):
        people.db.write_sync(remove_ssh_key, bob, key.id)
    small = people.narrowed(ann, "token:new@*", "job:get@*")
    with pytest.raises(Forbidden) as refusal:  # the key would do all that Ann may
        people.db.write_sync(add_ssh_key, small, public_key(3))
    assert refusal.value.code == "beyond-own"
    assert people.db.write_sync(add_ssh_key, people.root, public_key(4), user_id=ann.id).user_id == ann.id
    people.db.write_sync(remove_ssh_key, people.root, key.id)


def test_a_user_has_only_so_many(people: People) -> None:
    ann = people.user("ann")
    for number in range(MOST_SSH_KEYS):
        people.db.write_sync(add_ssh_key, ann, public_key(number))
    with pytest.raises(TooMany, match=str(MOST_SSH_KEYS)):
        people.db.write_sync(add_ssh_key, ann, public_key(MOST_SSH_KEYS))
