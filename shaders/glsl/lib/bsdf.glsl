// The material of glTF 2.0 and its extensions: facets over a Lambertian base, what passes through
// both, a sheen and a coat over all. Every layer leaves to those below it what it does not reflect
// from this direction (its directional albedo, from a table), instead of the specification's
// (1 - F), so that no direction reflects more than arrives.
//
// Scenes whose materials have no layers use plain.glsl instead.
//
// Directions are local: z along the shading normal on the viewer's side; below it is the far side.
#ifndef BSDF_GLSL
#define BSDF_GLSL

struct Bsdf {
    // Viewer.
    vec3 out_;
    Facets facets;
    vec3 diffuse;
    vec3 f0;
    float f90;
    // What multiple scattering gives back.
    vec3 again;
    // Share of a constant reflectance in place of Schlick's, and that reflectance.
    float film;
    vec3 film_color;
    // Light through the facets and its far index over the near one; 0: not refracted.
    vec3 through;
    float eta;
    // Light through the base.
    vec3 behind;
    vec3 sheen;
    float sheen_roughness;
    float coat;
    Facets coat_facets;
    Frame coat_frame;
    // Odds of the lobes: facets, through, behind, sheen; then the coat, the base has the rest.
    vec4 odds;
    float coat_odds;
};

vec3 coat_local(Bsdf bsdf, vec3 v) { return to_local(bsdf.coat_frame, v); }

// Reflectance of a facet that the viewer sees at this cosine.
vec3 facet_fresnel(Bsdf bsdf, float out_h) {
    float cosine = out_h;
    if (HAS_MEDIA && bsdf.eta > 0.0 && bsdf.eta < 1.0) {
        // Seen from the denser side, Schlick's cosine is that of the other side.
        float inverse = tame(rcp(bsdf.eta));
        float sine = tame(inverse * inverse) * max(1.0 - out_h * out_h, 0.0);
        cosine = sine < 1.0 ? tame(root(1.0 - sine)) : 0.0;
    }
    vec3 f = fresnel(bsdf.f0, bsdf.f90, cosine);
    if (HAS_FILM) f = f + (bsdf.film_color - f) * vec3(bsdf.film);
    return tame3(f);
}

// The layers over the base: each dims what is below it.
void add_top(inout Bsdf bsdf, Layers own) {
    float left = 1.0;
    if (HAS_COAT && own.coat > 0.0) {
        float cosine = coat_local(bsdf, bsdf.out_).z;
        vec2 albedo = facet_albedo(cosine, own.coat_roughness);
        bsdf.coat = own.coat;
        float taken = 1.0 - left_by(albedo, 0.04, 1.0);
        left = 1.0 - own.coat * taken;
        bsdf.coat_odds = tame(own.coat * taken);
    }
    if (HAS_SHEEN) {
        float most = min(max_component(own.sheen), 1.0);
        float albedo = sheen_albedo(bsdf.out_.z, max(own.sheen_roughness, SHEEN_ROUGHNESS_MIN));
        bsdf.sheen = tame3(min(own.sheen, vec3(1.0)) * vec3(left));
        bsdf.sheen_roughness = own.sheen_roughness;
        bsdf.odds.w = tame(luminance(bsdf.sheen) * albedo);
        left = tame(left * (1.0 - tame(most * albedo)));
    }
    vec3 dim = vec3(tame(left));
    bsdf.diffuse = tame3(bsdf.diffuse * dim);
    bsdf.again = tame3(bsdf.again * dim);
    bsdf.through = tame3(bsdf.through * dim);
    bsdf.behind = tame3(bsdf.behind * dim);
}

// Odds of each lobe by what it reflects, none of them too rare to be found.
void set_odds(inout Bsdf bsdf, float shiny) {
    float matt = tame(luminance(bsdf.diffuse));
    vec4 weights = vec4(max(shiny, 0.02), 0.0, 0.0, bsdf.odds.w);
    float through = tame(luminance(bsdf.through));
    float behind = tame(luminance(bsdf.behind));
    if (through > 0.0) weights.y = max(tame(through * (1.0 - min(shiny, 1.0))), 0.02);
    if (behind > 0.0) weights.z = max(behind, 0.02);
    if (weights.w > 0.0) weights.w = max(weights.w, 0.02);
    float coat = bsdf.coat > 0.0 ? max(bsdf.coat_odds, 0.02) : 0.0;
    float rest = matt > 0.0 ? max(matt, 0.02) : 0.0;
    float sum = ((weights.x + weights.y) + (weights.z + weights.w)) + (coat + rest);
    float inverse = rcp(sum);
    bsdf.odds = tame4(weights * vec4(inverse));
    bsdf.coat_odds = tame(coat * inverse);
}

// The base under the facets gets `share`, and what passes through; facets that scatter once let
// `passed` through.
void add_base(inout Bsdf bsdf, Surface surface, Layers own, float share, float passed) {
    float matte = 1.0 - surface.metallic;
    float closed = 1.0 - min(own.transmission, 1.0);
    vec3 base = tame3(surface.base * vec3(matte));
    if (HAS_TRANSMISSION) {
        // Facets that are not refracted by lose on the far side what they lose on this one.
        float whole = bsdf.eta > 0.0 ? 1.0 : tame(div(share, max(passed, 0.05)));
        bsdf.through = tame3(base * vec3(tame(min(own.transmission, 1.0) * whole)));
    }
    float under = tame(share * closed);
    float back = HAS_BEHIND ? min(own.behind, 1.0) : 0.0;
    bsdf.diffuse = tame3(base * vec3(tame(under * (1.0 - back))));
    if (HAS_BEHIND) {
        vec3 color = min(own.behind_color, vec3(1.0)) * vec3(tame(under * back) * matte);
        bsdf.behind = tame3(color);
    }
}

Bsdf bsdf_of(Surface surface, Layers own, Frame frame, vec3 out_world, float eta) {
    Bsdf bsdf;
    vec3 out_ = to_local(frame, out_world);
    bsdf.out_ = out_;
    float alpha = surface.roughness * surface.roughness;
    float strength = HAS_ANISOTROPY ? tame(own.anisotropy * own.anisotropy) : 0.0;
    bsdf.facets = facets_of(vec2(alpha + (1.0 - alpha) * strength, alpha));
    float ior = HAS_MEDIA && eta > 0.0 ? eta : own.ior;
    float f0 = own.ior < 1.0 ? 1.0 : boundary(ior, 1.0);
    vec3 dielectric = min(tame3(vec3(f0) * own.specular_color), vec3(1.0)) * vec3(own.specular);
    dielectric = tame3(dielectric);
    float matte = 1.0 - surface.metallic;
    vec3 mixed_f0 = dielectric * vec3(matte) + surface.base * vec3(surface.metallic);
    bsdf.f0 = tame3(mixed_f0);
    bsdf.f90 = min(own.specular * matte + surface.metallic, 1.0);
    bsdf.film = 0.0;
    bsdf.film_color = vec3(0.0);
    vec2 albedo = facet_albedo(out_.z, surface.roughness);
    if (HAS_ANISOTROPY) {
        // The tables know round facets only; stretched ones lose less than the mean of both.
        vec2 rougher = facet_albedo(out_.z, tame(root(bsdf.facets.alpha.x)));
        albedo = tame2(albedo + (rougher - albedo) * vec2(0.35));
    }
    float most = max_component(dielectric);
    float edge = own.specular;
    float share = left_by(albedo, most, edge);
    float passed = tame((1.0 - most) * albedo.x + (1.0 - edge) * albedo.y);
    if (HAS_FILM && own.film > 0.0) {
        bsdf.film = min(own.film, 1.0);
        bsdf.film_color =
            film_fresnel(own.film_index, own.film_thickness, bsdf.f0, out_.z);
        float shine = max_component(bsdf.film_color);
        float filmed = tame((1.0 - shine) * (albedo.x + albedo.y));
        share = tame(share + (left_by(albedo, shine, shine) - share) * bsdf.film);
        passed = tame(passed + (filmed - passed) * bsdf.film);
    }
    bsdf.again = given_back(albedo, bsdf.f0);
    bsdf.through = vec3(0.0);
    bsdf.behind = vec3(0.0);
    bsdf.eta = eta;
    add_base(bsdf, surface, own, share, passed);
    bsdf.sheen = vec3(0.0);
    bsdf.sheen_roughness = 0.0;
    bsdf.coat = 0.0;
    bsdf.coat_facets = bsdf.facets;
    bsdf.coat_frame = frame;
    if (HAS_COAT) {
        float alpha = tame(own.coat_roughness * own.coat_roughness);
        bsdf.coat_facets = facets_of(vec2(alpha));
        bsdf.coat_frame = frame_around(to_local(frame, own.coat_normal));
    }
    bsdf.odds = vec4(0.0);
    bsdf.coat_odds = 0.0;
    add_top(bsdf, own);
    float shiny = max(tame(luminance(facet_fresnel(bsdf, out_.z))), 0.001);
    set_odds(bsdf, shiny);
    return bsdf;
}

// Light that comes from the viewer's side.
Scattering reflected(Bsdf bsdf, vec3 in_) {
    vec3 between = bsdf.out_ + in_;
    vec3 h = unit(tame3(between));
    float out_h = max(tame(dot3(bsdf.out_, h)), 0.0);
    Scattering facets = mirrored_by(bsdf.facets, bsdf.out_, in_, h);
    float cosine = tame(in_.z * INVERSE_PI);
    vec3 f = facet_fresnel(bsdf, out_h) * bsdf.again;
    vec3 value = tame3(f) * facets.value + bsdf.diffuse * vec3(cosine);
    float others = (bsdf.odds.y + bsdf.odds.z) + (bsdf.odds.w + bsdf.coat_odds);
    float rest = max((1.0 - bsdf.odds.x) - others, 0.0);
    float pdf = bsdf.odds.x * facets.pdf + rest * cosine;
    if (HAS_SHEEN && bsdf.odds.w > 0.0) {
        float fuzz = sheen_value(bsdf.sheen_roughness, bsdf.out_, in_);
        value = value + bsdf.sheen * vec3(fuzz);
        pdf = pdf + bsdf.odds.w * 0.159154943092;
    }
    if (HAS_COAT && bsdf.coat > 0.0) {
        vec3 coat_out = coat_local(bsdf, bsdf.out_);
        vec3 coat_in = coat_local(bsdf, in_);
        vec3 coat_h = coat_local(bsdf, h);
        if (coat_out.z > 0.0 && coat_in.z > 0.0) {
            Scattering coat = mirrored_by(bsdf.coat_facets, coat_out, coat_in, coat_h);
            float shine = tame(0.04 + 0.96 * fifth(out_h)) * bsdf.coat;
            value = tame3(value) + coat.value * vec3(shine);
            pdf = tame(pdf) + bsdf.coat_odds * coat.pdf;
        }
    }
    return Scattering(tame3(value), tame(pdf));
}

// Light that comes from the far side.
Scattering transmitted(Bsdf bsdf, vec3 in_) {
    Scattering total = Scattering(vec3(0.0), 0.0);
    if (HAS_TRANSMISSION && bsdf.odds.y > 0.0) {
        float out_h;
        Scattering facets;
        if (bsdf.eta > 0.0) {
            facets = refracted_by(bsdf.facets, bsdf.out_, in_, bsdf.eta, out_h);
        } else {
            vec3 folded = vec3(in_.xy, -in_.z);
            vec3 between = bsdf.out_ + folded;
            vec3 h = unit(tame3(between));
            out_h = max(tame(dot3(bsdf.out_, h)), 0.0);
            facets = mirrored_by(bsdf.facets, bsdf.out_, folded, h);
        }
        vec3 rest = vec3(1.0) - min(facet_fresnel(bsdf, out_h), vec3(1.0));
        vec3 value = tame3(bsdf.through * rest) * facets.value;
        total.value = tame3(value);
        total.pdf = tame(bsdf.odds.y * facets.pdf);
    }
    if (HAS_BEHIND && bsdf.odds.z > 0.0) {
        float cosine = tame(-in_.z * INVERSE_PI);
        total.value = total.value + bsdf.behind * vec3(cosine);
        total.pdf = total.pdf + bsdf.odds.z * cosine;
    }
    return Scattering(tame3(total.value), tame(total.pdf));
}

Scattering evaluated(Bsdf bsdf, vec3 in_) {
    Scattering none = Scattering(vec3(0.0), 0.0);
    if (bsdf.out_.z <= 0.0) return none;
    Scattering found = none;
    if (in_.z > 0.0) found = reflected(bsdf, in_);
    if (HAS_FAR_SIDE && in_.z < 0.0) found = transmitted(bsdf, in_);
    return found;
}

// Draws a direction by the density that `evaluated` states.
vec3 scattered(Bsdf bsdf, vec2 place) {
    float beyond = place.x - bsdf.odds.x;
    bool by_facets = beyond < 0.0;
    float u = within(place.x, 0.0, bsdf.odds.x);
    float v = place.y;
    bool through = false;
    bool behind = false;
    bool fuzz = false;
    bool coat = false;
    if (!by_facets) {
        vec4 ends = vec4(bsdf.odds.y, 0.0, 0.0, 0.0);
        ends.y = ends.x + bsdf.odds.z;
        ends.z = ends.y + bsdf.odds.w;
        ends.w = ends.z + bsdf.coat_odds;
        through = beyond < ends.x;
        behind = !through && beyond < ends.y;
        fuzz = beyond >= ends.y && beyond < ends.z;
        coat = beyond >= ends.z && beyond < ends.w;
        vec2 range = vec2(ends.w, 1.0 - bsdf.odds.x);
        if (coat) range = ends.zw;
        if (fuzz) range = ends.yz;
        if (behind) range = ends.xy;
        if (through) range = vec2(0.0, ends.x);
        u = within(beyond, range.x, range.y);
    }
    if (by_facets || through || coat) {
        vec3 out_ = bsdf.out_;
        Facets facets = bsdf.facets;
        if (HAS_COAT && coat) {
            out_ = coat_local(bsdf, bsdf.out_);
            facets = bsdf.coat_facets;
        }
        vec3 h = visible_normal(facets, out_, u, v);
        vec3 in_ = mirrored(out_, h);
        // What goes to the wrong side was drawn in vain: no other lobe's density counts for it.
        if (in_.z <= 0.0 && !(through && bsdf.eta > 0.0)) return vec3(0.0);
        if (HAS_COAT && coat) in_ = to_world(bsdf.coat_frame, in_);
        if (HAS_TRANSMISSION && through) {
            if (bsdf.eta > 0.0) in_ = refracted(out_, h, bsdf.eta);
            else in_.z = -in_.z;
        }
        return (in_.z < 0.0) == through ? in_ : vec3(0.0);
    }
    vec2 around = circle(u);
    float square = v;
    if (HAS_SHEEN && fuzz) {
        float flat_ = (1.0 - v) * (1.0 - v);
        square = 1.0 - tame(flat_);
    }
    float radius = tame(root(square));
    vec3 p = vec3(around.x * radius, around.y * radius, root(1.0 - square));
    if (behind) p.z = -p.z;
    return tame3(p);
}

#endif
