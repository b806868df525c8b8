"""What Mitsuba has not: glTF's material, a sky of constant texels, a spot light of glTF's. Written
from the formulas that README.md names; `render.py` uses them.
"""

import functools

import drjit as dr
import mitsuba as mi
import numpy as np

# Columns of the table of directional albedo, by the viewer's cosine.
COLUMNS = 129
DIELECTRIC = 0.04


@functools.cache
def specular_albedo(cosine, alpha2, f0, steps=256):
    """What a GGX layer reflects of an even sky: an integral over normals drawn by D cos."""
    middle = (np.arange(steps) + 0.5) / steps
    u, turn = np.meshgrid(middle, middle * np.pi)
    z2 = (1 - u) / (1 + (alpha2 - 1) * u)
    h_x, h_z = np.sqrt(1 - z2) * np.cos(turn), np.sqrt(z2)
    out_h = np.sqrt(1 - cosine**2) * h_x + cosine * h_z
    in_z = 2 * out_h * h_z - cosine
    root = lambda z: np.sqrt(alpha2 + (1 - alpha2) * z * z)
    seen = (out_h > 0) & (in_z > 0)
    visible = 0.5 / (in_z * root(cosine) + cosine * root(in_z))
    fresnel = f0 + (1 - f0) * (1 - out_h) ** 5
    return np.where(seen, fresnel * visible * 4 * in_z * out_h / h_z, 0).mean()


class Gltf(mi.BSDF):
    """glTF 2.0's metallic-roughness material, alike on both sides. What it does not cover lets rays
    pass; Mitsuba's own `mask` states another density when it draws than when it is asked.
    """

    def __init__(self, props):
        mi.BSDF.__init__(self, props)
        self.base, self.covers = props["base"], props["covers"]
        self.metallic, roughness = float(props["metallic"]), float(props["roughness"])
        self.alpha2 = max(roughness**2, 2.0**-10) ** 2
        cosines = np.maximum(np.linspace(0, 1, COLUMNS), 1e-3)
        albedo = lambda f0: np.array([specular_albedo(c, self.alpha2, f0) for c in cosines])
        lost = 1 / albedo(1.0) - 1
        taken = albedo(DIELECTRIC) * (1 + DIELECTRIC * lost)
        self.lost = mi.Float(lost)
        self.share = mi.Float((1 - self.metallic) * (1 - taken))
        sides = mi.BSDFFlags.FrontSide | mi.BSDFFlags.BackSide
        lobes = mi.BSDFFlags.GlossyReflection | mi.BSDFFlags.DiffuseReflection
        self.m_components = [lobes | sides, mi.BSDFFlags.Null | sides]
        self.m_flags = lobes | sides | mi.BSDFFlags.Null

    def eval_pdf(self, ctx, si, wo, active=True):
        value, density = self.covered(si, wo, active)
        covers = self.covers.eval_1(si, active)
        return value * covers, density * covers

    def covered(self, si, wo, active):
        side = dr.sign(si.wi.z)
        out, in_ = mi.Vector3f(si.wi), mi.Vector3f(wo)
        out.z, in_.z = out.z * side, in_.z * side
        active = active & (out.z > 0) & (in_.z > 0)
        h = dr.normalize(out + in_)
        out_h = dr.maximum(dr.dot(out, h), 1e-9)
        slope = (h.x * h.x + h.y * h.y) / self.alpha2 + h.z * h.z
        spread = 1 / (dr.pi * self.alpha2 * slope * slope)
        root = lambda z: dr.sqrt(self.alpha2 + (1 - self.alpha2) * z * z)
        visible = 0.5 / (in_.z * root(out.z) + out.z * root(in_.z))
        base = self.base.eval(si, active)
        f0 = DIELECTRIC * (1 - self.metallic) + base * self.metallic
        fresnel = f0 + (1 - f0) * (1 - out_h) ** 5
        at = out.z * (COLUMNS - 1)
        column = dr.clip(mi.UInt32(at), 0, COLUMNS - 2)
        def found(table):
            low, high = (dr.gather(mi.Float, table, column + k, active) for k in (0, 1))
            return dr.lerp(low, high, at - mi.Float(column))

        share, again = found(self.share), 1 + f0 * found(self.lost)
        value = fresnel * again * (spread * visible * in_.z) + base * (share * in_.z / dr.pi)
        density = 0.5 * in_.z / dr.pi + 0.5 * spread * h.z / (4 * out_h)
        return dr.select(active, value, 0), dr.select(active, density, 0)

    def sample(self, ctx, si, lobe, place, active=True):
        covers = self.covers.eval_1(si, active)
        passes = lobe >= covers
        lobe = lobe / dr.maximum(covers, 1e-6)
        side = dr.sign(si.wi.z)
        out = mi.Vector3f(si.wi.x, si.wi.y, si.wi.z * side)
        z2 = (1 - place.x) / (1 + (self.alpha2 - 1) * place.x)
        sine, cosine = dr.sincos(2 * dr.pi * place.y)
        flat = dr.sqrt(dr.maximum(1 - z2, 0))
        h = mi.Vector3f(flat * cosine, flat * sine, dr.sqrt(z2))
        mirrored = h * (2 * dr.dot(out, h)) - out
        wo = dr.select(lobe < 0.5, mi.warp.square_to_cosine_hemisphere(place), mirrored)
        wo.z = wo.z * side
        value, density = self.covered(si, wo, active)
        drawn = dr.zeros(mi.BSDFSample3f)
        drawn.wo = dr.select(passes, -si.wi, wo)
        drawn.pdf, drawn.eta = dr.select(passes, 1 - covers, density * covers), 1.0
        drawn.sampled_type = dr.select(passes, mi.UInt32(+mi.BSDFFlags.Null),
                                       mi.UInt32(+mi.BSDFFlags.GlossyReflection))
        weight = dr.select(density > 0, value / density, 0)
        return drawn, dr.select(passes, mi.Color3f(1), weight)

    def eval(self, ctx, si, wo, active=True):
        return self.eval_pdf(ctx, si, wo, active)[0]

    def pdf(self, ctx, si, wo, active=True):
        return self.eval_pdf(ctx, si, wo, active)[1]


# Metres that no scene here measures.
BEYOND = 1000


class Sky(mi.Emitter):
    """An environment of constant texels, +Y up: Mitsuba's own filters them."""

    def __init__(self, props):
        mi.Emitter.__init__(self, props)
        texels = np.array(mi.Bitmap(props["file"]), np.float32)[..., :3]
        self.rows, self.columns = texels.shape[:2]
        self.texels = mi.Float(texels.ravel())
        edges = np.cos(np.pi * np.arange(self.rows + 1) / self.rows)
        solid = (edges[:-1] - edges[1:]) * 2 * np.pi / self.columns
        weight = texels.sum(2) * solid[:, None]
        self.density = mi.Float((weight / weight.sum() / solid[:, None]).ravel())
        self.drawn = mi.DiscreteDistribution(mi.Float(weight.ravel()))
        self.m_flags = mi.EmitterFlags.Infinite | mi.EmitterFlags.SpatiallyVarying

    def texel(self, towards):
        across = 0.5 + dr.atan2(towards.z, towards.x) / (2 * dr.pi)
        down = dr.acos(dr.clip(towards.y, -1, 1)) / dr.pi
        column = dr.clip(mi.UInt32(across * self.columns), 0, self.columns - 1)
        row = dr.clip(mi.UInt32(down * self.rows), 0, self.rows - 1)
        return row * self.columns + column

    def eval(self, si, active=True):
        return dr.gather(mi.Color3f, self.texels, self.texel(-si.wi), active)

    def sample_direction(self, it, place, active=True):
        index, kept = self.drawn.sample_reuse(place.x, active)
        row, column = index // self.columns, index % self.columns
        angle = dr.pi / self.rows
        top, low = dr.cos(mi.Float(row) * angle), dr.cos(mi.Float(row + 1) * angle)
        y = dr.lerp(top, low, place.y)
        flat = dr.sqrt(dr.maximum(1 - y * y, 0))
        sine, cosine = dr.sincos(((mi.Float(column) + kept) / self.columns - 0.5) * 2 * dr.pi)
        drawn = dr.zeros(mi.DirectionSample3f)
        drawn.d, drawn.time = mi.Vector3f(flat * cosine, y, flat * sine), it.time
        drawn.dist = mi.Float(BEYOND)
        drawn.p, drawn.n = it.p + drawn.d * drawn.dist, -drawn.d
        drawn.pdf = dr.gather(mi.Float, self.density, index, active)
        drawn.emitter = mi.EmitterPtr(self)
        radiance = dr.gather(mi.Color3f, self.texels, index, active)
        return drawn, dr.select(drawn.pdf > 0, radiance / drawn.pdf, 0)

    def eval_direction(self, it, drawn, active=True):
        return dr.gather(mi.Color3f, self.texels, self.texel(drawn.d), active)

    def pdf_direction(self, it, drawn, active=True):
        return dr.gather(mi.Float, self.density, self.texel(drawn.d), active)

    def bbox(self):
        return mi.ScalarBoundingBox3f()


class Spot(mi.Emitter):
    """KHR_lights_punctual's cone and range."""

    def __init__(self, props):
        mi.Emitter.__init__(self, props)
        self.place, self.axis = mi.Point3f(props["place"]), mi.Vector3f(props["axis"])
        self.intensity = mi.Color3f(props["intensity"])
        self.inner, self.outer = np.cos(float(props["inner"])), np.cos(float(props["outer"]))
        self.range = float(props["range"])
        self.m_flags = +mi.EmitterFlags.DeltaPosition

    def sample_direction(self, it, place, active=True):
        drawn = dr.zeros(mi.DirectionSample3f)
        away = self.place - it.p
        drawn.dist = dr.norm(away)
        drawn.d, drawn.p, drawn.time = away / drawn.dist, mi.Point3f(self.place), it.time
        drawn.n, drawn.pdf, drawn.delta = -drawn.d, 1.0, True
        drawn.emitter = mi.EmitterPtr(self)
        cone = (-dr.dot(drawn.d, self.axis) - self.outer) / (self.inner - self.outer)
        fade = dr.square(dr.clip(cone, 0, 1)) / dr.square(drawn.dist)
        fade *= dr.clip(1 - (drawn.dist / self.range) ** 4, 0, 1)
        return drawn, self.intensity * dr.select(active, fade, 0)

    def eval(self, si, active=True):
        return mi.Color3f(0)

    def eval_direction(self, it, drawn, active=True):
        return mi.Color3f(0)

    def pdf_direction(self, it, drawn, active=True):
        return mi.Float(0)

    def bbox(self):
        return mi.ScalarBoundingBox3f()


mi.register_bsdf("gltf", Gltf)
mi.register_emitter("sky", Sky)
mi.register_emitter("glowing_cone", Spot)
