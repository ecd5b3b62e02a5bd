// Package fill turns amounts of service into rates in whole bit/s without losing
// a byte.
//
// Rates are whole bit/s, so a bin's bytes seldom divide into a rate. A [Filler]
// therefore rounds cumulatively: the rate of bin k is ⌈(T_k − S_{k−1})/dt_k⌉,
// where T_k are the bits due at the bin's end and S_{k−1} the bits served before
// it. The service is then never below the bits due and less than eight bits above
// them, so that its whole bytes are exact where whole bytes are due. A bin above
// 8 s whose one rate would serve eight bits too many is given two rates.
//
// A [Binner] takes a rate that changes at any instant and gives the mean rates of
// bins, with the whole bytes of the total kept.
package fill
