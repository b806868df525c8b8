// GGX facets with height-correlated Smith shadowing (Heitz 2014, 2018), drawn by their visible
// normals. Directions are local.
#ifndef GGX_GLSL
#define GGX_GLSL

const float INVERSE_PI = 0.31830988618;
// Roughness squared is not less than this.
const float ALPHA_MIN = 0.0009765625;

// What scattering gives: the BSDF times the cosine, and the density of drawing the direction.
struct Scattering {
    vec3 value;
    float pdf;
};

// Facets by their slope along tangent and bitangent.
struct Facets {
    vec2 alpha;
    vec2 alpha2;
};

Facets facets_of(vec2 alpha) {
    vec2 a = max(alpha, vec2(ALPHA_MIN));
    return Facets(a, tame2(a * a));
}

float luminance(vec3 color) {
    float y = (color.x * 0.2126 + color.y * 0.7152) + color.z * 0.0722;
    return y;
}

// (1 - x)^5 for x in 0..1.
float fifth(float x) {
    float m = min(max(1.0 - x, 0.0), 1.0);
    m = tame(m);
    float m2 = tame(m * m);
    float m5 = tame(m2 * m2);
    return tame(m5 * m);
}

// Schlick's Fresnel.
vec3 fresnel(vec3 f0, float f90, float cosine) {
    vec3 f = f0 + (vec3(f90) - f0) * vec3(fifth(cosine));
    return f;
}

// Density of facet normals, from the components of h: no cancellation however smooth the surface.
float facet_density(Facets facets, vec3 h) {
    float x = tame(h.x * h.x) * rcp(facets.alpha2.x);
    float y = tame(h.y * h.y) * rcp(facets.alpha2.y);
    float k = tame(x + y) + tame(h.z * h.z);
    float kk = tame(k * k);
    float spread = tame(facets.alpha.x * facets.alpha.y) * kk;
    return tame(INVERSE_PI * rcp(spread));
}

// Smith's root for one direction: |z| sqrt(1 + slope of the ellipsoid).
float smith_root(Facets facets, vec3 v) {
    float x = facets.alpha2.x * tame(v.x * v.x);
    float y = facets.alpha2.y * tame(v.y * v.y);
    float inside = (x + y) + v.z * v.z;
    return tame(root(tame(inside)));
}

// Mirroring facets without Fresnel: D V cos in all channels, and the density.
Scattering mirrored_by(Facets facets, vec3 out_, vec3 in_, vec3 h) {
    float d = facet_density(facets, h);
    float out_root = smith_root(facets, out_);
    float in_root = smith_root(facets, in_);
    float shadowed = tame(in_.z * out_root) + tame(out_.z * in_root);
    // D V cos, with V = 0.5 / shadowed.
    float value = tame(d * tame(0.5 * rcp(shadowed)));
    value = tame(value * in_.z);
    // Density of the visible normals: D G1 / (4 z), G1 = 2 z / (z + root).
    float whole = out_.z + out_root;
    float pdf = tame(d * tame(0.5 * rcp(whole)));
    return Scattering(vec3(value), pdf);
}

// Refracting facets without Fresnel (Walter et al. 2007), in_ on the far side. `eta` is the far
// index over the near one. Radiance is divided by the index squared throughout, so no factor of it
// is lost.
Scattering refracted_by(Facets facets, vec3 out_, vec3 in_, float eta, out float out_h) {
    vec3 across = out_ + in_ * vec3(eta);
    vec3 h = unit_of_any(across);
    h = h.z < 0.0 ? -h : h;
    out_h = tame(dot3(out_, h));
    float in_h = tame(dot3(in_, h));
    if (out_h <= 0.0 || in_h >= 0.0) return Scattering(vec3(0.0), 0.0);
    float d = facet_density(facets, h);
    float out_root = smith_root(facets, out_);
    float in_root = smith_root(facets, in_);
    float shadowed = tame(-in_.z * out_root) + tame(out_.z * in_root);
    float far = out_h + tame(eta * in_h);
    // Solid angle of facets over that of directions.
    float turn = tame(eta * eta) * tame(-in_h * rcp(tame(far * far)));
    float seen = tame(d * out_h) * tame(turn);
    float value = tame(2.0 * tame(-in_.z * rcp(shadowed))) * tame(seen);
    float pdf = tame(2.0 * rcp(out_.z + out_root)) * tame(seen);
    return Scattering(vec3(tame(value)), tame(pdf));
}

// A visible normal by spherical caps (Dupuy and Benyoub 2023).
vec3 visible_normal(Facets facets, vec3 out_, float u, float v) {
    vec3 slopes = vec3(facets.alpha, 1.0);
    vec3 stretched = out_ * slopes;
    vec3 view = unit(tame3(stretched));
    vec2 around = circle(u);
    float z = (1.0 - v) * (1.0 + view.z) - view.z;
    float square = max(1.0 - tame(z) * tame(z), 0.0);
    float radius = tame(root(square));
    vec3 cap = vec3(radius * around.x, radius * around.y, z);
    vec3 half_ = tame3(cap) + view;
    vec3 back = tame3(half_) * slopes;
    return unit(tame3(back));
}

vec3 mirrored(vec3 out_, vec3 h) {
    float twice = 2.0 * tame(dot3(out_, h));
    vec3 in_ = h * vec3(twice) - out_;
    return unit(tame3(in_));
}

// The refracted direction; zero where all light is reflected.
vec3 refracted(vec3 out_, vec3 h, float eta) {
    float inverse = tame(rcp(eta));
    float out_h = tame(dot3(out_, h));
    float sine = tame(inverse * inverse) * max(1.0 - out_h * out_h, 0.0);
    if (sine >= 1.0) return vec3(0.0);
    float cosine = tame(root(1.0 - sine));
    float along = tame(inverse * out_h) - cosine;
    vec3 in_ = h * vec3(along) - out_ * vec3(inverse);
    return unit(tame3(in_));
}

#endif
