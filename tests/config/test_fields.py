from halo_jax.config.fields import FIELDS


def test_every_default_is_allowed_and_every_field_has_a_reason():
    for name, field in FIELDS.items():
        assert field.check(field.default), name
        assert field.allowed
        assert field.reason
