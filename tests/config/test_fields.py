from halo_jax.config import all_fields


def test_every_default_is_allowed_and_every_field_has_a_reason():
    for name, field in all_fields().items():
        assert field.kind.fits(field.default), name
        assert field.kind.allowed
        assert field.reason
