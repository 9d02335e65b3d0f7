import pytest

from halo_jax import config
from halo_jax.studies import STUDIES


def test_a_quarter_of_the_mean_payload_is_the_papers_number_to_its_last_digit():
    rows = {row.quantity: row for row in STUDIES["payload"](config.default())["payload"].rows}
    assert rows["weights"].value == 6_674_304
    assert rows["weight bits, HaLo-FL"].value == pytest.approx((7.76 + 8 + 6.06) / 3)
    assert rows["payload"].value == pytest.approx(6_674_304 * 7.2733333 / 8e6)
    assert f"{rows['a quarter of it'].value:.2f}" == "1.52"
    assert rows["difference"].value == rows["a quarter of it"].value - rows["the paper's number"].value
    assert rows["true payload"].value == pytest.approx(6.674304)
