// A thin film over the surface (KHR_materials_iridescence, after Belcour and Barla 2017).
#ifndef FILM_GLSL
#define FILM_GLSL

// Reflectance of a boundary seen straight on.
float boundary(float far, float near) {
    float r = tame(div(far - near, far + near));
    return tame(r * r);
}

// The index of refraction that reflects f0 in air.
float index_of(float f0) {
    float r = tame(root(min(max(f0, 0.0), 0.9998) + 1.0e-4));
    float below = 1.0 - r;
    float above = 1.0 + r;
    return tame(div(above, below));
}

// What wavelengths make of a path difference in nanometres and a phase in turns, as linear RGB.
vec3 spectrum(float path, vec3 phase) {
    float square = tame(path * path);
    float x = 0.846590002 * circle(0.001681 * path + phase.x).x
        * tame(power_of_two(-2.46491222e-7 * square));
    float more = 0.153868307 * circle(0.0022399 * path + phase.x).x
        * tame(power_of_two(-2.57905068e-7 * square));
    float y = 1.00022189 * circle(0.0017953 * path + phase.y).x
        * tame(power_of_two(-5.29946445e-7 * square));
    float z = 1.00112249 * circle(0.0022084 * path + phase.z).x
        * tame(power_of_two(-3.76594254e-7 * square));
    x = tame(x) + tame(more);
    y = tame(y);
    z = tame(z);
    float r = (3.2404542 * x - 1.5371385 * y) - 0.4985314 * z;
    float g = (1.8760108 * y - 0.9692660 * x) + 0.0415560 * z;
    float b = (0.0556434 * x - 0.2040259 * y) + 1.0572252 * z;
    return tame3(vec3(r, g, b));
}

// Reflectance of a film of `index` and `thickness` (nanometres) over a surface that reflects f0.
vec3 film_fresnel(float index, float thickness, vec3 f0, float cosine) {
    // A vanishing film is none.
    float t = min(max(tame(thickness * 33.3333333), 0.0), 1.0);
    float fade = tame(t * t) * (3.0 - 2.0 * t);
    float film = tame(1.0 + (index - 1.0) * fade);
    float inverse = tame(rcp(film));
    float sine2 = tame(inverse * inverse) * max(1.0 - cosine * cosine, 0.0);
    if (sine2 >= 1.0) return vec3(1.0);
    float inner = tame(root(1.0 - sine2));
    float first = boundary(film, 1.0);
    float r12 = tame(first + (1.0 - first) * fifth(cosine));
    float through = 1.0 - r12;
    float path = tame(tame(2.0 * film * tame(thickness)) * inner);
    vec3 base = vec3(index_of(f0.x), index_of(f0.y), index_of(f0.z));
    vec3 second =
        vec3(boundary(base.x, film), boundary(base.y, film), boundary(base.z, film));
    vec3 r23 = tame3(second + (vec3(1.0) - second) * vec3(fifth(inner)));
    // Half a turn for each reflection by the denser side.
    float turned = film < 1.0 ? 0.0 : 0.5;
    vec3 phase = vec3(turned) + vec3(
        base.x < film ? 0.5 : 0.0, base.y < film ? 0.5 : 0.0, base.z < film ? 0.5 : 0.0);
    vec3 both = min(max(tame3(vec3(r12) * r23), vec3(1.0e-5)), vec3(0.9999));
    vec3 r = tame3(vec3(root(both.x), root(both.y), root(both.z)));
    vec3 rest = vec3(1.0) - both;
    vec3 inside = tame3(r23 * vec3(tame(through * through)))
        * tame3(vec3(rcp(rest.x), rcp(rest.y), rcp(rest.z)));
    inside = tame3(inside);
    vec3 sum = vec3(r12) + inside;
    vec3 order = tame3((inside - vec3(through)) * r);
    sum = sum + order * (vec3(2.0) * spectrum(path, phase));
    order = tame3(order * r);
    sum = tame3(sum) + order * (vec3(2.0) * spectrum(2.0 * path, vec3(2.0) * phase));
    return min(max(tame3(sum), vec3(0.0)), vec3(1.0));
}

#endif
