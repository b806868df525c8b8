// The metallic-roughness material of glTF 2.0 appendix B: GGX with height-correlated Smith
// shadowing and Schlick's Fresnel over a Lambertian base. The base keeps what the specular layer
// does not reflect from this direction (its directional albedo, from a table), instead of appendix
// B's (1 - F), so that no direction reflects more than arrives.
//
// Directions are local: z along the shading normal, all on its side.
#ifndef BSDF_GLSL
#define BSDF_GLSL

const float INVERSE_PI = 0.31830988618;

struct Bsdf {
    vec3 diffuse;
    vec3 f0;
    // alpha squared; alpha = roughness squared.
    float alpha;
    float alpha2;
    // Probability of drawing the specular lobe.
    float specular;
    // Viewer.
    vec3 out_;
};

struct Frame {
    vec3 tangent;
    vec3 bitangent;
    vec3 normal;
};

// Any right-handed frame around a unit vector (Duff et al. 2017).
Frame frame_around(vec3 n) {
    float side = n.z < 0.0 ? -1.0 : 1.0;
    float lifted = side + n.z;
    float a = -rcp(lifted);
    float b = n.x * n.y;
    b = b * a;
    float xx = n.x * n.x;
    float yy = n.y * n.y;
    float tx = 1.0 + (side * xx) * a;
    float ty = side * b;
    float tz = -(side * n.x);
    float by = side + yy * a;
    return Frame(tame3(vec3(tx, ty, tz)), tame3(vec3(b, by, -n.y)), n);
}

vec3 to_local(Frame frame, vec3 v) {
    return tame3(vec3(dot3(frame.tangent, v), dot3(frame.bitangent, v), dot3(frame.normal, v)));
}

vec3 to_world(Frame frame, vec3 v) {
    vec3 w = (frame.tangent * vec3(v.x) + frame.bitangent * vec3(v.y)) + frame.normal * vec3(v.z);
    return unit(tame3(w));
}

float luminance(vec3 color) {
    float y = (color.x * 0.2126 + color.y * 0.7152) + color.z * 0.0722;
    return y;
}

float albedo_line(uint row, uint column, float s) {
    uint at = ALBEDO_TABLE + row * 32u + column;
    float first = uintBitsToFloat(constants[at]);
    float second = uintBitsToFloat(constants[at + 1u]);
    return first + (second - first) * s;
}

// The share of light that a dielectric's specular layer leaves to its base (albedo.rs).
float base_share(float cosine, float roughness) {
    float x = min(max(cosine, 0.0), 1.0) * 31.0;
    float y = roughness * 15.0;
    uint column = min(uint(x), 30u);
    uint row = min(uint(y), 14u);
    float s = tame(x - float(column));
    float t = tame(y - float(row));
    float low = albedo_line(row, column, s);
    float high = albedo_line(row + 1u, column, s);
    float share = 1.0 - (low + (high - low) * t);
    return min(max(share, 0.0), 1.0);
}

vec3 fresnel(vec3 f0, float cosine) {
    float m = min(max(1.0 - cosine, 0.0), 1.0);
    m = tame(m);
    float m2 = tame(m * m);
    float m5 = tame(m2 * m2);
    m5 = tame(m5 * m);
    vec3 f = f0 + (vec3(1.0) - f0) * vec3(m5);
    return f;
}

Bsdf bsdf_of(Surface surface, vec3 out_local) {
    Bsdf bsdf;
    bsdf.out_ = out_local;
    float alpha = max(surface.roughness * surface.roughness, 0.0009765625);
    bsdf.alpha = alpha;
    float alpha2 = alpha * alpha;
    bsdf.alpha2 = alpha2;
    float matte = 1.0 - surface.metallic;
    float share = base_share(out_local.z, surface.roughness) * matte;
    vec3 diffuse = surface.base * vec3(tame(share));
    bsdf.diffuse = tame3(diffuse);
    vec3 f0 = vec3(0.04 * matte) + surface.base * vec3(surface.metallic);
    bsdf.f0 = tame3(f0);
    float shiny = max(tame(luminance(fresnel(bsdf.f0, out_local.z))), 0.001);
    float matt = tame(luminance(bsdf.diffuse));
    float both = shiny + matt;
    bsdf.specular = matt > 0.0 ? min(max(tame(div(shiny, both)), 0.1), 0.9) : 1.0;
    return bsdf;
}

// Smith's root for one direction: sqrt(alpha² + (1 - alpha²) z²).
float smith_root(float z, float alpha2) {
    float zz = tame(z * z);
    float inside = alpha2 + (1.0 - alpha2) * zz;
    return tame(root(inside));
}

// What `eval` finds: the BSDF times the cosine, and the density of drawing the direction.
struct Scattering {
    vec3 value;
    float pdf;
};

Scattering evaluated(Bsdf bsdf, vec3 in_) {
    vec3 out_ = bsdf.out_;
    if (in_.z <= 0.0 || out_.z <= 0.0) return Scattering(vec3(0.0), 0.0);
    vec3 between = out_ + in_;
    vec3 h = unit(tame3(between));
    float out_h = max(tame(dot3(out_, h)), 0.0);
    // Distribution, from the components of h: no cancellation however smooth the surface.
    float slope = tame(h.x * h.x + h.y * h.y) * rcp(bsdf.alpha2);
    float k = slope + tame(h.z * h.z);
    float kk = tame(k * k);
    float spread = tame(bsdf.alpha2 * kk);
    float d = tame(INVERSE_PI * rcp(spread));
    float out_root = smith_root(out_.z, bsdf.alpha2);
    float in_root = smith_root(in_.z, bsdf.alpha2);
    float shadowed = tame(in_.z * out_root) + tame(out_.z * in_root);
    // D V cos, with V = 0.5 / shadowed.
    float specular = tame(d * tame(0.5 * rcp(shadowed)));
    specular = tame(specular * in_.z);
    // Density of the visible normals: D G1 / (4 z), G1 = 2 z / (z + root).
    float whole = out_.z + out_root;
    float visible = tame(d * tame(0.5 * rcp(whole)));
    float cosine = tame(in_.z * INVERSE_PI);
    vec3 value = fresnel(bsdf.f0, out_h) * vec3(specular) + bsdf.diffuse * vec3(cosine);
    float pdf = bsdf.specular * visible + (1.0 - bsdf.specular) * cosine;
    return Scattering(tame3(value), tame(pdf));
}

// A visible normal of the GGX distribution by spherical caps (Dupuy and Benyoub 2023).
vec3 visible_normal(vec3 out_, float alpha, float u, float v) {
    vec3 stretched = out_ * vec3(alpha, alpha, 1.0);
    vec3 view = unit(tame3(stretched));
    vec2 around = circle(u);
    float z = (1.0 - v) * (1.0 + view.z) - view.z;
    float square = max(1.0 - tame(z) * tame(z), 0.0);
    float radius = tame(root(square));
    vec3 cap = vec3(radius * around.x, radius * around.y, z);
    vec3 half_ = tame3(cap) + view;
    vec3 back = tame3(half_) * vec3(alpha, alpha, 1.0);
    return unit(tame3(back));
}

// Draws a direction by the density that `evaluated` states.
vec3 scattered(Bsdf bsdf, float lobe, float u, float v) {
    if (lobe < bsdf.specular) {
        vec3 h = visible_normal(bsdf.out_, bsdf.alpha, u, v);
        float twice = 2.0 * tame(dot3(bsdf.out_, h));
        vec3 mirrored = h * vec3(twice) - bsdf.out_;
        return unit(tame3(mirrored));
    }
    vec2 around = circle(u);
    float radius = tame(root(v));
    vec3 p = vec3(around.x * radius, around.y * radius, root(1.0 - v));
    return tame3(p);
}

#endif
