// What rays pass as if it were not there: cutouts, and what blends, by chance.
#ifndef COVERAGE_GLSL
#define COVERAGE_GLSL

// Surfaces that one ray passes before the next counts as solid.
const uint PASSED_MAX = 256u;
const uint COVERAGE = 0x13198a2eu;

// Whether ray number `ray` of a sample passes this surface, having passed so many.
bool is_passed(Surface surface, uvec3 key, uint ray, uint passed) {
    if (surface.alpha_mode == ALPHA_OPAQUE || passed >= PASSED_MAX) return false;
    if (surface.alpha_mode == ALPHA_MASK) return surface.alpha < surface.cutoff;
    uvec3 own = uvec3(key.x + ray, key.y ^ COVERAGE, 0u);
    return fraction(draw(own, surface.primitive)) >= surface.alpha;
}

#endif
