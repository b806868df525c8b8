// The material of glTF 2.0 without extensions: what bsdf.glsl is where no layer is there.
#ifndef PLAIN_GLSL
#define PLAIN_GLSL

struct Bsdf {
    // Viewer.
    vec3 out_;
    Facets facets;
    vec3 diffuse;
    vec3 f0;
    // What multiple scattering gives back.
    vec3 again;
    // Odds of the facets' lobe.
    float odds;
};

Bsdf bsdf_of(Surface surface, Frame frame, vec3 out_world) {
    Bsdf bsdf;
    vec3 out_ = to_local(frame, out_world);
    bsdf.out_ = out_;
    float alpha = surface.roughness * surface.roughness;
    bsdf.facets = facets_of(vec2(alpha));
    float matte = 1.0 - surface.metallic;
    vec2 albedo = facet_albedo(out_.z, surface.roughness);
    float share = left_by(albedo, 0.04, 1.0) * matte;
    vec3 diffuse = surface.base * vec3(tame(share));
    bsdf.diffuse = tame3(diffuse);
    vec3 f0 = vec3(0.04 * matte) + surface.base * vec3(surface.metallic);
    bsdf.f0 = tame3(f0);
    bsdf.again = given_back(albedo, bsdf.f0);
    float shiny = max(tame(luminance(fresnel(bsdf.f0, 1.0, out_.z))), 0.001);
    float matt = tame(luminance(bsdf.diffuse));
    float both = shiny + matt;
    bsdf.odds = matt > 0.0 ? min(max(tame(div(shiny, both)), 0.1), 0.9) : 1.0;
    return bsdf;
}

Scattering evaluated(Bsdf bsdf, vec3 in_) {
    if (in_.z <= 0.0 || bsdf.out_.z <= 0.0) return Scattering(vec3(0.0), 0.0);
    vec3 between = bsdf.out_ + in_;
    vec3 h = unit(tame3(between));
    float out_h = max(tame(dot3(bsdf.out_, h)), 0.0);
    Scattering facets = mirrored_by(bsdf.facets, bsdf.out_, in_, h);
    float cosine = tame(in_.z * INVERSE_PI);
    vec3 f = tame3(fresnel(bsdf.f0, 1.0, out_h)) * bsdf.again;
    vec3 value = tame3(f) * facets.value + bsdf.diffuse * vec3(cosine);
    float pdf = bsdf.odds * facets.pdf + (1.0 - bsdf.odds) * cosine;
    return Scattering(tame3(value), tame(pdf));
}

// Draws a direction by the density that `evaluated` states.
vec3 scattered(Bsdf bsdf, vec2 place) {
    bool shiny = place.x < bsdf.odds;
    float u = within(place.x, shiny ? 0.0 : bsdf.odds, shiny ? bsdf.odds : 1.0);
    if (shiny) {
        vec3 h = visible_normal(bsdf.facets, bsdf.out_, u, place.y);
        return mirrored(bsdf.out_, h);
    }
    vec2 around = circle(u);
    float radius = tame(root(place.y));
    vec3 p = vec3(around.x * radius, around.y * radius, root(1.0 - place.y));
    return tame3(p);
}

#endif
