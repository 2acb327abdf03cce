package detect

import "math"

// maxTerms bounds the sum of a tail; its terms fall geometrically long before.
const maxTerms = 10_000

// negativeBinomialTail is the probability of n or more where mean are expected and the rate itself varies as a gamma
// distribution of that shape: the variance is mean + mean²/shape.
func negativeBinomialTail(n int, mean, shape float64) float64 {
	if n <= 0 {
		return 1
	}
	if mean <= 0 {
		return 0
	}
	k := float64(n)
	q := mean / (shape + mean)
	a, _ := math.Lgamma(k + shape)
	b, _ := math.Lgamma(shape)
	c, _ := math.Lgamma(k + 1)
	term := math.Exp(a - b - c + shape*math.Log1p(-q) + k*math.Log(q))
	sum := 0.0
	for range maxTerms {
		sum += term
		term *= (k + shape) / (k + 1) * q
		k++
		if term <= sum*1e-12 {
			break
		}
	}
	return min(sum, 1)
}
