"""The tables of experiments/images_report.py."""
import images_report


def looks(*pairs):
    return [
        {"updates": 10 * number, "seconds": s, "cpu_seconds": s / 2, "mse": mse, "perplexity": 40, "codes_used": 50}
        for number, (s, mse) in enumerate(pairs, 1)
    ]


def race(ours, peer, seed=0):
    return {"settings": {"peer": {"seed": seed}}, "looks": {"ours": looks(*ours), "peer": looks(*peer)}}


PEER = [(4.0, 0.3), (8.0, 0.1), (12.0, 0.2)]


def test_times_are_those_of_the_first_look_with_the_peers_last_error():
    table = images_report.times({"emoji": [race([(2.0, 0.25), (5.0, 0.2), (7.0, 0.3)], PEER)]})
    # The peer itself was already as low at its second measurement.
    assert table[1] == ["emoji", "30", "0.117", "0.200", "5", "8", "1.60", "1.60"]


def test_an_error_that_ours_does_not_reach_has_no_ratio():
    never, soon = race([(2.0, 0.5)], PEER), race([(2.0, 0.1)], PEER, 1)
    assert images_report.times({"emoji": [never, soon]})[1][-4:] == ["not reached by 1 of 2", "8", "", ""]


def test_errors_are_those_at_the_end_and_the_lowest():
    table = images_report.errors({"emoji": [race([(2.0, 0.25), (5.0, 0.2)], PEER)]})
    assert table[1][2:4] == ["0.20000", "0.20000"]
    assert table[2][2:4] == ["0.20000", "0.10000"]


def test_the_lowest_error_of_each_set_is_bold():
    found = [
        {"settings": {"change": {"learning_rate": rate}}, "looks": {"peer": looks((1.0, mse))}}
        for rate, mse in ((0.001, 0.2), (0.002, 0.1))
    ]
    assert images_report.grid({"emoji": found, "cells-64": found[:1]})[1:] == [
        ["learning rate 0.001", "0.20000", "**0.20000**"],
        ["learning rate 0.002", "**0.10000**", ""],
    ]


def test_mean_has_a_deviation_where_values_differ():
    assert images_report.mean([1.0, 1.0], ".1f") == "1.0"
    assert images_report.mean([1.0, 3.0], ".1f") == "2.0 ± 1.4"
