"""The evaluator decides as IAM's documents say, and as moto's own does where that can."""

from __future__ import annotations

import json

import iam
import pytest
from moto.iam.access_control import IAMPolicy, PermissionResult


def policy(**statement):
    return [{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}]


def test_nothing_is_allowed_that_is_not_said():
    assert not iam.allows([], "s3:GetObject", "arn:aws:s3:::b/k")
    assert not iam.allows(policy(Action="s3:PutObject", Resource="*"), "s3:GetObject", "arn:aws:s3:::b/k")
    assert not iam.allows(policy(Action="s3:GetObject", Resource="arn:aws:s3:::b/other"), "s3:GetObject", "arn:aws:s3:::b/k")


def test_a_denial_goes_before_whatever_allows():
    allow = policy(Action="s3:*", Resource="*")
    deny = policy(Action="s3:GetObject", Resource="arn:aws:s3:::b/*", Effect="Deny")
    assert not iam.allows(allow + deny, "s3:GetObject", "arn:aws:s3:::b/k")
    assert not iam.allows(deny + allow, "s3:GetObject", "arn:aws:s3:::b/k")
    assert iam.allows(allow + deny, "s3:PutObject", "arn:aws:s3:::b/k")


def test_a_condition_about_what_the_request_has_not_does_not_hold():
    condition = {"StringEquals": {"aws:ResourceTag/team": "a"}}
    assert iam.allows(policy(Action="ec2:*", Resource="*", Condition=condition), "ec2:StopInstances", "x", **{"aws:ResourceTag/team": "a"})
    assert not iam.allows(policy(Action="ec2:*", Resource="*", Condition=condition), "ec2:StopInstances", "x")
    both = policy(Action="ec2:*", Resource="*") + policy(Action="ec2:*", Resource="*", Effect="Deny", Condition=condition)
    assert iam.allows(both, "ec2:StopInstances", "x")


def test_every_condition_has_to_hold_and_one_of_its_values():
    condition = {"StringEquals": {"a:one": ["1", "2"], "a:two": "3"}, "Bool": {"a:three": "true"}}
    rule = policy(Action="x:y", Resource="*", Condition=condition)
    assert iam.allows(rule, "x:y", "r", a__one="2", a__two="3", a__three="true")
    for wrong in ({"a__one": "3"}, {"a__two": "4"}, {"a__three": "false"}):
        assert not iam.allows(rule, "x:y", "r", **({"a__one": "2", "a__two": "3", "a__three": "true"} | wrong))


def test_variables_are_the_requests_and_their_stars_mean_nothing():
    rule = policy(Action="s3:GetObject", Resource="arn:aws:s3:::b/${aws:userid}/*")
    assert iam.allows(rule, "s3:GetObject", "arn:aws:s3:::b/me/x", aws__userid="me")
    assert not iam.allows(rule, "s3:GetObject", "arn:aws:s3:::b/you/x", aws__userid="me")
    assert not iam.allows(rule, "s3:GetObject", "arn:aws:s3:::b/you/x", aws__userid="*")
    assert not iam.allows(rule, "s3:GetObject", "arn:aws:s3:::b/${aws:userid}/x")
    exact = policy(Action="x:y", Resource="*", Condition={"StringEquals": {"a:k": "*"}})
    assert not iam.allows(exact, "x:y", "r", a__k="anything"), "no patterns in StringEquals"


@pytest.mark.parametrize("statement", [{"NotAction": "x:y"}, {"NotResource": "*"}, {"Principal": "*"}, {"Condition": {"NumericLessThan": {"a:b": "1"}}}])
def test_what_is_not_understood_is_an_error(statement):
    with pytest.raises(AssertionError, match="can't be evaluated"):
        iam.allows(policy(**({"Action": "x:y", "Resource": "*"} | statement)), "x:y", "r")


def test_motos_evaluator_agrees_where_there_are_no_conditions():
    """It knows neither conditions, nor variables, nor `?`."""
    statements = [
        {"Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"},
        {"Action": ["s3:GetObject", "sqs:*"], "Resource": ["arn:aws:s3:::b/k", "arn:aws:sqs:*:1:q-1"]},
        {"Action": "*", "Resource": "*"},
        {"Action": "s3:*", "Resource": "*", "Effect": "Deny"},
    ]
    requests = [
        (action, resource)
        for action in ("s3:GetObject", "s3:PutObject", "s3:ListBucket", "sqs:SendMessage")
        for resource in ("arn:aws:s3:::b/k", "arn:aws:s3:::b/k/l", "arn:aws:s3:::c/k", "arn:aws:sqs:e:1:q-1", "arn:aws:sqs:e:1:q-12")
    ]
    seen = set()
    for statement in statements:
        ours = policy(**statement)
        theirs = IAMPolicy(json.dumps(ours[0]))
        for action, resource in requests:
            answer = theirs.is_action_permitted(action, resource)
            assert iam.allows(ours, action, resource) == (answer == PermissionResult.PERMITTED), (statement, action, resource)
            seen.add(answer)
    assert len(seen) == 3, "permitted, denied and neither"
