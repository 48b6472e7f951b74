from drf_spectacular.openapi import AutoSchema


class ScopedAutoSchema(AutoSchema):
    pass
