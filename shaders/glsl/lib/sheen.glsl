// Sheen (KHR_materials_sheen): Estevez and Kulla's "Charlie" distribution with its fitted
// shadowing. Drawn evenly over the hemisphere.
#ifndef SHEEN_GLSL
#define SHEEN_GLSL

const float SHEEN_ROUGHNESS_MIN = 0.1;
const float LOG2_E = 1.44269504089;

float sheen_fit(float x, float alpha) {
    float rest = 1.0 - alpha;
    float by = tame(rest * rest);
    float a = 21.5473 + (25.3245 - 21.5473) * by;
    float b = 3.82987 + (3.32435 - 3.82987) * by;
    float c = 0.19823 + (0.16801 - 0.19823) * by;
    float d = -1.97760 + (1.97760 - 1.27393) * by;
    float e = -4.32054 + (4.32054 - 4.85967) * by;
    float below = 1.0 + b * tame(power(x, c));
    float fit = (tame(div(a, below)) + d * x) + e;
    return tame(fit);
}

// Smith's lambda of the distribution.
float sheen_lambda(float cosine, float alpha) {
    float fit = sheen_fit(min(cosine, 1.0 - cosine), alpha);
    if (cosine >= 0.5) fit = 2.0 * sheen_fit(0.5, alpha) - fit;
    return tame(power_of_two(tame(fit * LOG2_E)));
}

// D V cos of unit colour.
float sheen_value(float roughness, vec3 out_, vec3 in_) {
    float rough = max(roughness, SHEEN_ROUGHNESS_MIN);
    float alpha = tame(rough * rough);
    vec3 between = out_ + in_;
    vec3 h = unit(tame3(between));
    float sine2 = tame(min(h.x * h.x + h.y * h.y, 1.0));
    float inverse = tame(rcp(alpha));
    float peak = (2.0 + inverse) * 0.159154943092;
    float d = peak * tame(power(sine2, 0.5 * inverse));
    float shadow = (1.0 + sheen_lambda(out_.z, alpha)) + sheen_lambda(in_.z, alpha);
    float below = tame(4.0 * shadow) * tame(out_.z * in_.z);
    float v = min(tame(rcp(tame(below))), 1.0);
    float value = tame(d * v) * in_.z;
    return tame(value);
}

#endif
