"""Parts of C headers: functions and formulas. NAME stands for the name of the network."""

from deeprob.exports.tensor_steps import FAR, NEAR
from deeprob.features.quantile import EDGE
from deeprob.models.activations import LEAK

ACTIVATIONS_IN_C = {
    "relu": "x > 0.0f ? x : 0.0f",
    "leaky_relu": f"x > 0.0f ? x : {LEAK}f * x",
    "elu": "x > 0.0f ? x : expm1f(x)",
    "gelu": "0.5f * x * (1.0f + erff(x * 0.707106781f))",
    "silu": "x / (1.0f + expf(-x))",
    "tanh": "tanhf(x)",
    "sigmoid": "1.0f / (1.0f + expf(-x))",
}
"""The formula of each activation of `deeprob.models.activations`."""

DENSE = """
/* y = W x + b for W (rows, columns). Eight sums that are added at the end round less than one long sum. */
static inline void NAME_dense(const float *w, const float *b, int rows, int columns, const float *x, float *y)
{
    for (int r = 0; r < rows; r++, w += columns) {
        float s[8] = {0.0f};
        int c = 0;
        for (; c + 8 <= columns; c += 8)
            for (int k = 0; k < 8; k++)
                s[k] += w[c + k] * x[c + k];
        for (; c < columns; c++)
            s[c & 7] += w[c] * x[c];
        y[r] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])) + (b ? b[r] : 0.0f);
    }
}
"""

QUANTILE = """
/* The number of the n sorted numbers q that are smaller than x, or with equal = 1 smaller or equal. */
static inline int NAME_count(const double *q, int n, double x, int equal)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (equal ? q[middle] <= x : q[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The share of training values below x: linear between n quantiles q with the shares p. */
static inline double NAME_share(const double *q, const double *p, int n, double x)
{
    int above = NAME_count(q, n, x, 0), below = NAME_count(q, n, x, 1) - 1;
    double low, high, place;
    if (!(q[0] < q[n - 1]))
        return 0.5;
    above = above < n ? above : n - 1;
    below = below > 0 ? below : 0;
    low = q[below];
    high = q[above];
    place = high > low ? (x - low) / (high - low) : 0.5;
    return p[below] + place * (p[above] - p[below]);
}
"""


def _numbers(table: tuple[tuple[float, ...], ...]) -> str:
    return ", ".join(repr(number) for row in table for number in row)


NORMAL = f"""
/* z with Phi(z) = p (Wichura, Algorithm AS241, 1988). */
static inline double NAME_normal(double p)
{{
    static const double middle[16] = {{{_numbers(NEAR)}}};
    static const double tails[16] = {{{_numbers(FAR)}}};
    double q, r, over = 0.0, under = 0.0;
    const double *k = middle;
    p = p < {EDGE!r} ? {EDGE!r} : p > 1.0 - {EDGE!r} ? 1.0 - {EDGE!r} : p;
    q = p - 0.5;
    r = 0.180625 - q * q;
    if (fabs(q) > 0.425) {{
        k = tails;
        r = sqrt(-log(q < 0.0 ? p : 1.0 - p)) - 1.6;
    }}
    for (int i = 0; i < 8; i++) {{
        over = over * r + k[i];
        under = under * r + k[8 + i];
    }}
    return k == middle ? q * over / under : q < 0.0 ? -over / under : over / under;
}}
"""

LAYER_NORM = """    {
        float mean = 0.0f, variance = 0.0f;
        for (int i = 0; i < @COUNT; i++)
            mean += @X[i] / (float)@COUNT;
        for (int i = 0; i < @COUNT; i++)
            variance += (@X[i] - mean) * (@X[i] - mean) / (float)@COUNT;
        for (int i = 0; i < @COUNT; i++)
            @Y[i] = (@X[i] - mean) / sqrtf(variance + @EPS) * @GAMMA[i] + @BETA[i];
    }"""

LARGEST = """
/* The number of the class with the largest score. */
static inline int NAME_class(const float *scores)
{
    int largest = 0;
    for (int i = 1; i < OUTPUTS; i++)
        if (scores[i] > scores[largest])
            largest = i;
    return largest;
}"""

SOFTMAX = """
/* The probabilities of the classes that belong to scores; both may be the same array. */
static inline void NAME_probabilities(const float *scores, float *output)
{
    float largest = scores[0], sum = 0.0f;
    for (int i = 1; i < OUTPUTS; i++)
        largest = fmaxf(largest, scores[i]);
    for (int i = 0; i < OUTPUTS; i++)
        sum += output[i] = expf(scores[i] - largest);
    for (int i = 0; i < OUTPUTS; i++)
        output[i] /= sum;
}"""
